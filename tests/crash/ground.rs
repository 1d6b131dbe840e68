//! The program run under strace.

use std::process::Command;

use crate::support::{Finished, Home, carry_over, copy_of, finish, program, soak};

/// How many of [`DURABLE`] are writes.
pub const WRITES: usize = 3;

/// Every call by which something gets to a disk, or away from it.
pub const DURABLE: [&str; 16] = [
    "write",
    "pwrite64",
    "writev",
    "fsync",
    "fdatasync",
    "syncfs",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "ftruncate",
    "mkdir",
    "mkdirat",
];

/// A command as strace runs it, with something injected into the system calls of its first thread, which does
/// all the work on disk. (With `--seccomp-bpf` strace loses count of the calls.)
pub fn under_strace(command: &Command, trace: &str, inject: &str) -> Finished {
    let mut strace = program("strace");
    strace.args(["-qq", "-o", "/dev/null"]);
    strace.args(["-e", &format!("trace={trace}"), "-e", &format!("inject={inject}")]);
    carry_over(command, &mut strace);
    finish(&mut strace, b"")
}

/// Runs a command once for each step, and each time kills it there; then lets `after` look at what is left.
/// Says how many steps there were.
pub fn killed_at_every_step(before: &Home, arguments: &[&str], after: impl FnMut(&Home, &str)) -> usize {
    killed_at_every(&DURABLE, before, arguments, after)
}

/// As [`killed_at_every_step`], at these calls.
pub fn killed_at_every(
    calls: &[&str],
    before: &Home,
    arguments: &[&str],
    mut after: impl FnMut(&Home, &str),
) -> usize {
    let mut steps = 0;
    for call in calls {
        for n in 1.. {
            let home = copy_of(before);
            let inject = format!("{call}:signal=SIGKILL:when={n}");
            let ended = under_strace(&home.pki(arguments), call, &inject);
            if ended.code.is_some() {
                // There was no such step: the command came to its end.
                ended.ok();
                break;
            }
            steps += 1;
            after(&home, &format!("killed at {call} {n}"));
        }
    }
    steps
}

/// Runs a command once for each of these steps, and each time lets the system refuse it with `error`.
pub fn refused_at_every_step(
    before: &Home,
    calls: &[&str],
    error: &str,
    arguments: &[&str],
    mut after: impl FnMut(&Home, Finished, &str),
) -> usize {
    let mut steps = 0;
    for call in calls {
        let count = count_of(&copy_of(before), call, arguments);
        for n in 1..=count {
            let home = copy_of(before);
            let ended = under_strace(
                &home.pki(arguments),
                call,
                &format!("{call}:error={error}:when={n}"),
            );
            steps += 1;
            after(&home, ended, &format!("{error} at {call} {n} of {count}"));
        }
    }
    steps
}

/// Runs a command once for some of its steps, and each time lets `what` befall it there (`signal=SIGKILL`,
/// `error=ENOSPC`): of each call the first of so many, and the last; in a soak every one. For commands that
/// are too dear to be run for every step. Says how many steps there were.
pub fn at_some_steps(
    before: &Home,
    calls: &[(&str, usize)],
    what: &str,
    arguments: &[&str],
    mut after: impl FnMut(&Home, Finished, &str),
) -> usize {
    let names: Vec<&str> = calls.iter().map(|(call, _)| *call).collect();
    let log = strace_of(&copy_of(before), &names.join(","), arguments);
    let mut steps = 0;
    for (call, of) in calls {
        let begins = format!("{call}(");
        let count = log.lines().filter(|line| line.starts_with(&begins)).count();
        for n in (1..=count).filter(|n| soak() || n % of == 1 % of || *n == count) {
            let home = copy_of(before);
            let inject = format!("{call}:{what}:when={n}");
            let ended = under_strace(&home.pki(arguments), call, &inject);
            steps += 1;
            after(&home, ended, &format!("{what} at {call} {n} of {count}"));
        }
    }
    steps
}

/// How often the thread that does the work makes a call.
pub fn count_of(home: &Home, call: &str, arguments: &[&str]) -> usize {
    let log = strace_of(home, call, arguments);
    log.lines()
        .filter(|line| line.starts_with(&format!("{call}(")))
        .count()
}

/// The calls of these names that the thread that does the work makes, a line each, with the paths of
/// descriptors.
pub fn strace_of(home: &Home, calls: &str, arguments: &[&str]) -> String {
    let log = home.path("strace.log");
    let command = home.pki(arguments);
    let mut strace = program("strace");
    strace
        .args(["-qq", "-y", "-e", &format!("trace={calls}"), "-o"])
        .arg(&log);
    carry_over(&command, &mut strace);
    finish(&mut strace, b"").ok();
    std::fs::read_to_string(log).unwrap()
}
