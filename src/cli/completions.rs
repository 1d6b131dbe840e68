use clap_complete::Shell;

use super::context::Context;
use super::failure::{Exit, Failure};

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki completions bash > /etc/bash_completion.d/pki
  pki completions zsh > ~/.zfunc/_pki
  pki completions fish > ~/.config/fish/completions/pki.fish")]
pub struct Args {
    /// Which shell
    shell: Shell,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    if context.ui.json {
        return Err(
            Failure::usage("a completion script is no JSON document").hint("repeat it without --json")
        );
    }
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "pki", &mut script);
    context.ui.out(String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
