//! Prints docs/reference.md, made from the commands' own help: `cargo run --example reference > docs/reference.md`.
//!
//! `tests/program/docs.rs` compares the file with this text.

use std::fmt::Write;

use clap::{Arg, Command};

/// Hand-written: what no command's help says.
const HEAD: &str = "\
# Reference

<!-- Made by `make docs` from the commands' own help. Do not edit: a test compares it with the program. -->

`pki help COMMAND` and `pki COMMAND --help` say the same at the terminal; `make man` writes it as man pages.

An **address** names a device: `EMPLOYEE/DEVICE`, as `alice/phone`. Both parts are lower-case letters, digits, dot,
underscore and hyphen, and begin with a letter or digit; 64 and 32 characters at most. `alice` alone is `alice/phone`
when issuing (`default_device` in `pki.toml`), and her only active device when revoking or renewing. A certificate is
also named by its **serial number**, 32 hexadecimal digits. A **duration** is a number with a unit, as `30d`.

Files, formats and exit codes are in [files.md](files.md).

On a terminal, what is longer than that is read through `$PAGER`, else `less`: help, lists, the audit. With `PAGER=cat`,
`--no-input`, `--json` or `TERM=dumb`, or where stdin or stdout is none, it is not.

## Passphrases

The first of these that is there gives the passphrase of the issuing key:

| source | for whom |
|---|---|
| `--passphrase-fd N` | scripts that hold it in a pipe |
| `--passphrase-file PATH` | scripts |
| `PKI_PASSPHRASE_FILE`, a variable with a path | cron |
| `$CREDENTIALS_DIRECTORY/pki-passphrase` | systemd, by `LoadCredential=pki-passphrase:PATH` |
| `passphrase_command` in `pki.toml` | password managers |
| the terminal | people |

The root key's passphrase has the same sources with `root-` or `ROOT_` in the name: `--root-passphrase-file`,
`PKI_ROOT_PASSPHRASE_FILE`, `pki-root-passphrase`, `root_passphrase_command`. A bundle's passphrase is generated,
unless `--bundle-passphrase-fd`, `--bundle-passphrase-file`, `PKI_BUNDLE_PASSPHRASE_FILE` or the credential
`pki-bundle-passphrase` gives one.

A passphrase file holds one line and nothing else, 4,096 octets at most. One that others can read is refused, apart
from pipes, files in `$CREDENTIALS_DIRECTORY`, and files under `/run/secrets` with `--allow-mounted-secrets`. No flag
and no variable holds a passphrase itself: other users can read both.
";

/// The whole text.
pub fn text() -> String {
    let mut command = pki::cli::command();
    command.build();
    let mut text = HEAD.to_owned();
    text.push_str("\n## Options of every command\n\n");
    let mut globals: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| arg.is_global_set())
        .collect();
    globals.dedup_by_key(|arg| arg.get_id().clone());
    globals.iter().for_each(|arg| option(&mut text, arg));
    for verb in command.get_subcommands() {
        describe(&mut text, verb, "pki", 2);
    }
    text
}

fn describe(text: &mut String, command: &Command, parents: &str, level: usize) {
    if command.get_name() == "help" {
        return;
    }
    let name = format!("{parents} {}", command.get_name());
    write(text, format_args!("\n{} {name}\n\n", "#".repeat(level)));
    let about = command.get_long_about().or(command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    write(text, format_args!("{}\n\n", fold(&prose(&about))));
    let usage = command.clone().render_usage().to_string();
    write(
        text,
        format_args!("```text\n{}\n```\n", usage.trim_start_matches("Usage: ").trim()),
    );
    let own = |arg: &&Arg| !arg.is_global_set() && arg.get_id() != "help" && arg.get_id() != "version";
    let mut headings: Vec<Option<&str>> = Vec::new();
    for arg in command.get_arguments().filter(own) {
        if !headings.contains(&arg.get_help_heading()) {
            headings.push(arg.get_help_heading());
        }
    }
    for heading in headings {
        if let Some(heading) = heading {
            write(text, format_args!("\n{heading}:\n"));
        }
        text.push('\n');
        for arg in command
            .get_arguments()
            .filter(own)
            .filter(|arg| arg.get_help_heading() == heading)
        {
            option(text, arg);
        }
    }
    if let Some(after) = command.get_after_help() {
        let after = after.to_string();
        let examples = after.strip_prefix("Examples:\n").unwrap_or(&after);
        let examples: Vec<&str> = examples
            .lines()
            .map(|line| line.strip_prefix("  ").unwrap_or(line))
            .collect();
        write(
            text,
            format_args!("\nExamples:\n\n```text\n{}\n```\n", examples.join("\n")),
        );
    }
    for verb in command.get_subcommands() {
        describe(text, verb, &name, level + 1);
    }
}

fn option(text: &mut String, arg: &Arg) {
    let values: Vec<String> = arg
        .get_value_names()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect();
    let takes_value = arg.get_action().takes_values();
    let mut forms = Vec::new();
    forms.extend(arg.get_short().map(|short| format!("-{short}")));
    forms.extend(arg.get_long().map(|long| format!("--{long}")));
    let mut form = forms.join(", ");
    if takes_value {
        let value = if values.is_empty() {
            arg.get_id().to_string().to_uppercase()
        } else {
            values.join(" ")
        };
        form = format!("{form} {value}").trim().to_owned();
    }
    let help = arg
        .get_long_help()
        .or(arg.get_help())
        .map(ToString::to_string)
        .unwrap_or_default();
    let mut notes = Vec::new();
    if takes_value {
        let words: Vec<String> = arg
            .get_possible_values()
            .iter()
            .map(|value| match value.get_help() {
                Some(help) => format!("`{}` ({help})", value.get_name()),
                None => format!("`{}`", value.get_name()),
            })
            .collect();
        if !words.is_empty() {
            notes.push(format!("One of {}.", words.join(", ")));
        }
        let defaults: Vec<_> = arg
            .get_default_values()
            .iter()
            .map(|v| v.to_string_lossy())
            .collect();
        if !defaults.is_empty() {
            notes.push(format!("Default: `{}`.", defaults.join(" ")));
        }
    }
    if arg.is_required_set() {
        notes.push("Required.".to_owned());
    }
    let mut line = format!("- `{form}`: {}.", prose(help.trim_end_matches('.')));
    for note in notes {
        line.push(' ');
        line.push_str(&note);
    }
    write(text, format_args!("{}\n", fold_with(&line, "  ")));
}

/// Text of the help as Markdown: an angle bracket is one.
fn prose(help: &str) -> String {
    help.replace('<', "\\<")
}

fn fold(text: &str) -> String {
    let paragraphs: Vec<String> = text
        .split("\n\n")
        .map(|paragraph| fold_with(paragraph, ""))
        .collect();
    paragraphs.join("\n\n")
}

/// Lines of at most 120 characters, those after the first indented.
fn fold_with(text: &str, indent: &str) -> String {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > 120 {
            lines.push(std::mem::replace(&mut line, indent.to_owned()));
        } else if !line.is_empty() && line != indent {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.join("\n")
}

fn write(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a String takes everything");
}

#[allow(dead_code, reason = "the test that compares the file takes `text` alone")]
fn main() {
    print!("{}", text());
}
