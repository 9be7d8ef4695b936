//! Runs in PID namespaces of their own, as if on another machine, and a library that makes locks succeed for everybody.

use super::{Project, Ran, ran};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The words that start a program in a PID namespace of its own; none where that is not allowed.
pub fn namespace() -> Option<Vec<&'static str>> {
    let root = vec!["unshare", "-pf", "--kill-child", "--mount-proc"];
    let user = vec!["unshare", "-rpf", "--kill-child", "--mount-proc"];
    [root, user].into_iter().find(|words| {
        let tried = Command::new(words[0]).args(&words[1..]).arg("true").stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    })
}

/// The program with these arguments in a namespace of its own, where a shell is the first process; not waited for.
pub fn spawn_in(words: &[&str], project: &Project, arguments: &[&str], env: &[(&str, &str)]) -> Child {
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .args(["sh", "-c", "\"$0\" \"$@\"; exit $?", env!("CARGO_BIN_EXE_onsager")])
        .args(arguments)
        .current_dir(project.path(""))
        .env_remove("ONSAGER_LOG")
        .envs(env.iter().copied())
        .process_group(0);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

/// Waits for the end of a command.
pub fn end(child: Child) -> Ran {
    ran(child.wait_with_output().expect("it ends"))
}

/// How many tasks the runs of a pipeline have executed.
pub fn finished(project: &Project, pipeline: &str) -> usize {
    let start = format!("\"pipeline\":\"{pipeline}\"");
    let records = fs::read_dir(project.path("artifacts/.onsager/runs")).into_iter().flatten().flatten();
    let texts = records.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    let of_pipeline = texts.filter(|text| text.lines().next().is_some_and(|line| line.contains(&start)));
    of_pipeline.map(|text| text.matches("\"task-finished\"").count()).sum()
}

/// What is in a folder of the store, but for what systems have noted of leases.
pub fn entries(project: &Project, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(project.path("artifacts/.onsager").join(folder)).into_iter().flatten();
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.starts_with(".seen-")).collect()
}

/// A process and all that descend from it.
pub fn family(root: u32) -> Vec<u32> {
    let parent = |id: u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    let all: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|id| Some((id, parent(id)?)))
        .collect();
    let mut family = vec![root];
    let mut next = 0;
    while let Some(of) = family.get(next).copied() {
        family.extend(all.iter().filter(|(_, parent)| *parent == of).map(|(id, _)| *id));
        next += 1;
    }
    family
}

/// Sends a signal to processes; those that have ended are passed over.
pub fn signal(name: &str, processes: &[u32]) {
    for id in processes {
        let _ = Command::new("kill").args([name, &id.to_string()]).stderr(Stdio::null()).status();
    }
}

/// A library that grants every lock to everybody, made in this folder; none where there is no compiler.
pub fn careless_locks(folder: &Path) -> Option<PathBuf> {
    let (source, library) = (folder.join("careless.c"), folder.join("careless.so"));
    fs::write(&source, CARELESS).expect("a file");
    let cc =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).arg("-ldl").status();
    cc.is_ok_and(|status| status.success()).then_some(library)
}

const CARELESS: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>

int flock(int file, int operation) {
    (void)file, (void)operation;
    return 0;
}

static int control(const char *name, int file, int command, void *argument) {
    switch (command) {
    case F_SETLK: case F_SETLKW: case F_OFD_SETLK: case F_OFD_SETLKW:
        return 0;
    }
    int (*real)(int, int, ...) = (int (*)(int, int, ...))dlsym(RTLD_NEXT, name);
    return real(file, command, argument);
}

int fcntl(int file, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return control("fcntl", file, command, argument);
}

int fcntl64(int file, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return control("fcntl64", file, command, argument);
}
"#;
