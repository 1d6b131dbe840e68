//! `pki completions`: prints the script by which a shell completes commands and names.

use clap::Command;
use clap_complete::Shell;

use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::{Exit, Failure};

/// Print a completion script for a shell
///
/// It completes commands and flags by itself. bash, zsh and fish also complete the devices, people, servers
/// and profiles of the home: the script asks `pki` for them at each TAB, which reads the index and needs
/// neither key nor lock.
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
    context.ui.out(script(args.shell))?;
    Ok(Exit::Done)
}

/// The script that clap makes of the commands and flags, with the code that asks `pki` for the rest.
fn script(shell: Shell) -> String {
    let mut command = crate::cli::command();
    command.build();
    let mut command = helping_with_all(command, "pki");
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "pki", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        // A file's name that bash is given this way it puts into the line as it is, `$(…)` and all.
        // Readline's own completion, which comes where there is nothing else, quotes it.
        Shell::Bash => script.replace("COMPREPLY=($(compgen -f \"${cur}\"))", "COMPREPLY=()") + BASH,
        // The function that zsh calls has the name of its file.
        Shell::Zsh => script.replacen("\n_pki() {\n", &format!("\n{ZSH}\n_pki_static() {{\n"), 1),
        Shell::Fish => script + FISH + &fish_flags(&command),
        Shell::Elvish | Shell::PowerShell | _ => script,
    }
}

/// The command at this path whose `help`, and that of those below it, knows all that stands below: clap makes
/// it before it has made the commands themselves, and so knows nothing of them but their names.
fn helping_with_all(command: Command, path: &str) -> Command {
    let command = command.mut_subcommands(|verb| match verb.get_name() {
        HELP => verb,
        name => {
            let path = format!("{path} {name}");
            helping_with_all(verb, &path)
        }
    });
    if command.find_subcommand(HELP).is_none() {
        return command;
    }
    let told = told_of(&command, &format!("{path} {HELP}"));
    command.mut_subcommand(HELP, |help| {
        let whole = told.into_iter().fold(help, |help, verb| {
            let name = verb.get_name().to_owned();
            match help.find_subcommand(&name) {
                Some(_) => help.mut_subcommand(name, |_| verb),
                None => help.subcommand(verb),
            }
        });
        // Where it was: behind the others.
        whole.mut_subcommand(HELP, |help| help)
    })
}

const HELP: &str = "help";

/// What stands below a command, as `help` is asked for it by what is typed `above`.
fn told_of(command: &Command, above: &str) -> Vec<Command> {
    let verbs = command.get_subcommands().filter(|verb| verb.get_name() != HELP);
    verbs.map(|verb| told(verb, above)).collect()
}

fn told(verb: &Command, above: &str) -> Command {
    // clap wants names that stay: they are a few, and the process ends with them.
    let name: &'static str = verb.get_name().to_owned().leak();
    let path = format!("{above} {name}");
    Command::new(name)
        .about(verb.get_about().cloned().unwrap_or_default())
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .subcommands(told_of(verb, &path))
        .bin_name(path)
}

/// Readline completes files where it is offered nothing; there is none of a device's name.
const BASH: &str = r#"
_pki_known() {
    local known IFS=$'\n'
    if known=$("${COMP_WORDS[0]/#~\//$HOME/}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD-1}" "$2" 2>/dev/null); then
        compopt +o default +o bashdefault 2>/dev/null
        COMPREPLY=($known)
    else
        unset IFS
        _pki "$@"
    fi
}
complete -F _pki_known -o bashdefault -o default pki
"#;

const ZSH: &str = r#"
_pki() {
    local known
    if known=$(${~words[1]} complete -- "${(@)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null); then
        [[ $PREFIX == --*=* ]] && compset -P '*='
        compadd -- ${(f)known}
    else
        _pki_static "$@"
    fi
}
"#;

const FISH: &str = r"
function __pki_known
    set -l words (commandline -opc)
    set -l program $words[1]
    set -e words[1]
    command $program complete -- $words (commandline -ct) 2>/dev/null
end
complete -c pki -n '__pki_known >/dev/null' -f -a '(__pki_known)'
";

/// fish asks for the values of a flag only where the flag says so.
fn fish_flags(command: &Command) -> String {
    let mut flags = std::collections::BTreeSet::new();
    collect(command, &mut flags);
    let lines = flags
        .iter()
        .map(|flag| format!("complete -c pki -l {flag} -x -a '(__pki_known)'\n"));
    lines.collect()
}

fn collect(command: &Command, flags: &mut std::collections::BTreeSet<String>) {
    let known = command.get_arguments().filter(|arg| complete::is_known(arg));
    flags.extend(known.filter_map(|arg| arg.get_long().map(str::to_owned)));
    command.get_subcommands().for_each(|verb| collect(verb, flags));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_completed_for_every_command_and_says_what_it_does() {
        let mut command = crate::cli::command();
        command.build();
        let script = script(Shell::Fish);
        let said = |behind: &str, name: &str| {
            let begins = format!("complete -c pki -n \"__fish_pki_using_subcommand help; and {behind}");
            let told = format!("-a \"{name}\" -d '");
            script
                .lines()
                .any(|line| line.starts_with(&begins) && line.contains(&told))
        };
        let verbs: Vec<&Command> = command.get_subcommands().collect();
        assert!(verbs.iter().any(|verb| verb.get_name() == "server"));
        for verb in verbs {
            let name = verb.get_name();
            assert!(said("not ", name), "{name}");
            let parts = verb.get_subcommands().filter(|_| name != HELP);
            for part in parts.filter(|part| part.get_name() != HELP) {
                let behind = format!("__fish_seen_subcommand_from {name}\"");
                assert!(said(&behind, part.get_name()), "{name} {}", part.get_name());
            }
        }
    }
}
