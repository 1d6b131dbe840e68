//! The program `pki`: everything is in the library; here the process is made safe for secrets first.

use std::process::ExitCode;

fn main() -> ExitCode {
    pki::cli::harden_process();
    pki::cli::run()
}
