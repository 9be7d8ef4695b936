"""A program in a terminal of its own, and somebody who types.

    terminal.py '[["file half", "\\u0003"], ["go on?", "l\\n"]]' PROGRAM [ARGUMENT …]

When the first text of a pair was printed, or the file is there that it names, the second is typed; then comes the next pair. Prints what
the terminal showed, and ends with the program's exit code; with 99 when it ended before all was typed.
"""

import json
import os
import pty
import select
import sys

answers, command = json.loads(sys.argv[1]), sys.argv[2:]
child, terminal = pty.fork()
if child == 0:
    os.execvp(command[0], command)
shown, seen = b"", 0
while True:
    if select.select([terminal], [], [], 0.05)[0]:
        try:
            read = os.read(terminal, 4096)
        except OSError:
            break  # The other end is closed.
        shown += read
    if answers:
        awaited, typed = answers[0]
        kind, _, name = awaited.partition("file ")
        at = shown.find(awaited.encode(), seen)
        if at >= 0 or (not kind and os.path.exists(name)):
            seen = max(seen, at + len(awaited.encode()))
            os.write(terminal, typed.encode())
            answers.pop(0)
sys.stdout.buffer.write(shown)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
sys.exit(99 if answers else code)
