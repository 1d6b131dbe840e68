//! The program `pki`: hardens the process, because it will hold secrets, and runs the command line interface
//! of the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    pki::cli::harden_process();
    pki::cli::run()
}
