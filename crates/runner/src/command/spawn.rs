//! Starting a program, in a process group of its own, that dies with the thread that started it.
//!
//! On Linux the new process borrows this one's memory until it runs the program, as `vfork` does. A copy of the memory's
//! description, which `fork` makes and the program then throws away, takes longer than a small task.

use rustix::process::Pid;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::PathBuf;

/// A program and what it starts with. It reads nothing, and both its outputs go to one file.
#[derive(Debug)]
pub struct Program {
    pub path: PathBuf,
    /// With the name by which it is called as the first.
    pub arguments: Vec<OsString>,
    /// Environment variables, besides those of this process; the last of one name counts.
    pub env: Vec<(OsString, OsString)>,
    /// Where it runs.
    pub folder: PathBuf,
    pub output: File,
}

#[cfg(not(target_os = "linux"))]
impl Program {
    /// Starts it. The process has to be waited for.
    pub fn spawn(self) -> io::Result<Pid> {
        use std::os::unix::process::CommandExt;
        let mut arguments = self.arguments.into_iter();
        let mut command = std::process::Command::new(&self.path);
        arguments.next().into_iter().for_each(|name| _ = command.arg0(name));
        let started = command
            .args(arguments)
            .envs(self.env)
            .current_dir(self.folder)
            .stdin(std::process::Stdio::null())
            .stdout(self.output.try_clone()?)
            .stderr(self.output)
            .process_group(0)
            .spawn()?;
        Ok(Pid::from_child(&started))
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use super::{OsString, Pid, Program, io};
    use libc::{c_char, c_int, c_void};
    use rustix::process::{WaitOptions, waitpid};
    use std::collections::BTreeMap;
    use std::ffi::CString;
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::sync::atomic::{AtomicI32, Ordering};

    /// Everything that the new process needs: made before it exists, for it may not allocate.
    struct Start {
        path: CString,
        arguments: Texts,
        env: Texts,
        folder: CString,
        input: File,
        output: File,
        parent: c_int,
        /// The error that the new process met, 0 without one.
        error: AtomicI32,
    }

    /// Texts as C takes them: pointers, the last of them null.
    struct Texts {
        pointers: Vec<*const c_char>,
        _texts: Vec<CString>,
    }

    impl Texts {
        fn new(texts: impl Iterator<Item = Vec<u8>>) -> io::Result<Texts> {
            let texts: Vec<CString> = texts.map(CString::new).collect::<Result<_, _>>()?;
            let pointers = texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect();
            Ok(Texts { pointers, _texts: texts })
        }
    }

    /// The stack of the new process until it runs the program; its calls need far less.
    const STACK: usize = 32 << 10;

    impl Program {
        /// Starts it. The process has to be waited for.
        pub fn spawn(self) -> io::Result<Pid> {
            let env: BTreeMap<OsString, OsString> = std::env::vars_os().chain(self.env).collect();
            let variable =
                |(name, value): (OsString, OsString)| [name.as_bytes(), b"=", value.as_bytes()].concat();
            let start = Start {
                path: CString::new(self.path.as_os_str().as_bytes())?,
                arguments: Texts::new(self.arguments.into_iter().map(OsString::into_vec))?,
                env: Texts::new(env.into_iter().map(variable))?,
                folder: CString::new(self.folder.as_os_str().as_bytes())?,
                input: File::open("/dev/null")?,
                output: self.output,
                parent: std::process::id() as c_int,
                error: AtomicI32::new(0),
            };
            let id = start.vfork()?;
            match start.error.load(Ordering::Relaxed) {
                0 => Ok(id),
                error => {
                    // It has ended already, and its error is the one to tell.
                    let _ = waitpid(Some(id), WaitOptions::empty());
                    Err(io::Error::from_raw_os_error(error))
                }
            }
        }
    }

    impl Start {
        fn vfork(&self) -> io::Result<Pid> {
            let mut stack = Vec::<u128>::with_capacity(STACK / size_of::<u128>());
            // SAFETY: `stack` has that capacity, so its end is one past the allocation: the top of a stack, aligned to 16 bytes.
            let top = unsafe { stack.as_mut_ptr().add(stack.capacity()) };
            // SAFETY: with `CLONE_VM | CLONE_VFORK` this thread stands still until the new process runs another program or has ended,
            // so `self` and `stack` outlive its use of them, and nobody else uses them meanwhile. No signal is handled in
            // it, since all are blocked from before it exists until it has given up this process's handlers.
            let id = unsafe {
                let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
                libc::sigfillset(&mut all);
                libc::pthread_sigmask(libc::SIG_BLOCK, &all, &mut before);
                let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
                let id = libc::clone(
                    become_program,
                    top.cast(),
                    flags,
                    std::ptr::from_ref(self).cast_mut().cast(),
                );
                let failed = io::Error::last_os_error();
                libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
                if id == -1 { Err(failed) } else { Ok(id) }
            };
            id.map(|id| Pid::from_raw(id).expect("clone gives a positive number"))
        }

        /// What the new process does: system calls only, until the last of them runs the program. Gives the error that hindered it.
        ///
        /// # Safety
        ///
        /// Only for a process made by [`Start::vfork`].
        unsafe fn run(&self) -> Result<(), io::Error> {
            let done = |result: c_int| if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) };
            let (input, output) = (self.input.as_raw_fd(), self.output.as_raw_fd());
            // SAFETY: every pointer leads into `self`, which is alive; nothing here allocates or takes a lock.
            unsafe {
                done(libc::setpgid(0, 0))?;
                done(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
                if libc::getppid() != self.parent {
                    // Too late: the parent is gone already.
                    libc::_exit(0);
                }
                done(libc::chdir(self.folder.as_ptr()))?;
                done(libc::dup2(input, 0))?;
                done(libc::dup2(output, 1))?;
                done(libc::dup2(output, 2))?;
                // The signals that this process handles or ignores; every other has its default already.
                for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGPIPE] {
                    libc::signal(signal, libc::SIG_DFL);
                }
                // What `nohup` had ignored stays ignored.
                if libc::signal(libc::SIGHUP, libc::SIG_DFL) == libc::SIG_IGN {
                    libc::signal(libc::SIGHUP, libc::SIG_IGN);
                }
                let mut none = std::mem::zeroed();
                libc::sigemptyset(&mut none);
                libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
                done(libc::execve(
                    self.path.as_ptr(),
                    self.arguments.pointers.as_ptr(),
                    self.env.pointers.as_ptr(),
                ))
            }
        }
    }

    extern "C" fn become_program(start: *mut c_void) -> c_int {
        // SAFETY: `vfork` gives a pointer to itself, and waits.
        let start = unsafe { &*start.cast::<Start>() };
        // SAFETY: this is the process that `vfork` made.
        if let Err(error) = unsafe { start.run() } {
            start.error.store(error.raw_os_error().unwrap_or(libc::EIO), Ordering::Relaxed);
        }
        // SAFETY: ends this process and runs nothing of the other's.
        unsafe { libc::_exit(127) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{WaitOptions, waitpid};
    use std::path::Path;

    fn sh(script: &str, folder: &Path) -> Program {
        Program {
            path: "/bin/sh".into(),
            arguments: ["sh", "-c", script].map(OsString::from).into(),
            env: vec![("COLOUR".into(), "red".into()), ("COLOUR".into(), "blue".into())],
            folder: folder.to_owned(),
            output: File::create(folder.join("output")).unwrap(),
        }
    }

    /// Folder, environment, both outputs, empty input, group; no signal is blocked, and that of a broken pipe, which this process
    /// ignores, ends it.
    #[test]
    fn starts_as_asked() {
        let folder = tempfile::tempdir().unwrap();
        let script = "pwd -P; echo $COLOUR >&2; cat; ps -o pgid= $$ | tr -d ' '; \
                      grep SigBlk /proc/self/status | cut -f2; kill -PIPE $$";
        let id = sh(script, folder.path()).spawn().unwrap();
        let (_, status) = waitpid(Some(id), WaitOptions::empty()).unwrap().unwrap();
        assert_eq!(status.terminating_signal(), Some(13));
        let written = std::fs::read_to_string(folder.path().join("output")).unwrap();
        let there = std::fs::canonicalize(folder.path()).unwrap();
        assert_eq!(written, format!("{}\nblue\n{id}\n0000000000000000\n", there.display()));
    }

    #[test]
    fn what_cannot_start_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let spawn = |path: &str, at: &Path| {
            let program = Program { path: path.into(), ..sh("", folder.path()) };
            Program { folder: at.to_owned(), ..program }.spawn().unwrap_err().kind()
        };
        assert_eq!(spawn("/no/such/program", folder.path()), io::ErrorKind::NotFound);
        assert_eq!(spawn("/bin/sh", &folder.path().join("elsewhere")), io::ErrorKind::NotFound);
        assert_eq!(spawn("/etc/passwd", folder.path()), io::ErrorKind::PermissionDenied);
        let nul = Program { arguments: vec!["a\0b".into()], ..sh("", folder.path()) };
        assert_eq!(nul.spawn().unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
