//! Writes the man pages, one for each command: `cargo run --example man -- DIRECTORY`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Writes them into this directory.
///
/// # Errors
///
/// Where that cannot be written.
pub fn write(directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    clap_mangen::generate_to(pki::cli::command(), directory)
}

#[allow(dead_code, reason = "the test of the package takes `write` alone")]
fn main() -> ExitCode {
    let directory = std::env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from("target/man"), PathBuf::from);
    match write(&directory) {
        Ok(()) => {
            println!("{}", directory.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{} could not be written: {error}", directory.display());
            ExitCode::FAILURE
        }
    }
}
