//! Writes the man pages, one for each command: `cargo run --example man -- DIRECTORY`.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let directory = std::env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from("target/man"), PathBuf::from);
    let written = std::fs::create_dir_all(&directory)
        .and_then(|()| clap_mangen::generate_to(pki::cli::command(), &directory));
    match written {
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
