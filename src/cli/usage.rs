//! Help as it is shown, and what is said of a command line that makes no sense.

use std::ffi::OsString;

use clap::error::{ContextKind, ErrorKind};

use super::error::{Exit, Failure};
use super::{foreign_words, pager, streams, tips};
use crate::model::text::printable;

/// Shows what clap has instead of a command: help and version, which are no errors, or wrong usage, in the
/// form that was asked for.
pub fn usage_error(error: &clap::Error, arguments: &[OsString], json: bool) -> Exit {
    if !error.use_stderr() {
        let text = help(error);
        let shown = match pager::is_wanted(&text) {
            true => pager::show(&text),
            false => streams::write_out(&text),
        };
        return match shown.or_else(streams::forgive_gone_reader) {
            Ok(()) => Exit::Done,
            Err(why) => {
                streams::line(&format!("pki: {}", streams::unwritten(&why)));
                Exit::Refused
            }
        };
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand && !json {
        // Whoever typed the name alone wants to know what there is.
        streams::line(help(error).trim_end());
        return Exit::Usage;
    }
    let why = std::error::Error::source(error).map(ToString::to_string);
    let foreign = foreign_words::of(error, arguments);
    let tip = tips::of(error, arguments).or_else(|| foreign.clone());
    let text = match (error.get(ContextKind::InvalidArg), why) {
        // A value that a type of ours refused: its own words say it best, and show the value escaped.
        (Some(argument), Some(why)) if error.kind() == ErrorKind::ValueValidation && why.contains('"') => {
            let tip = tip
                .as_ref()
                .map_or(String::new(), |tip| format!("\n\n  tip: {tip}"));
            format!("{argument}: {why}{tip}\n\nFor more information, try '--help'.")
        }
        _ if foreign.is_some() || foreign_words::leads_astray(error) => {
            let message = escaped(&foreign_words::without_tips(error, foreign.is_some()));
            match (&foreign, message.split_once("\n\n")) {
                (Some(tip), Some((message, rest))) => format!("{message}\n\n  tip: {tip}\n\n{rest}"),
                _ => message,
            }
        }
        _ => escaped(&error.render().to_string()),
    };
    let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
    if json {
        // What is missing stands in lines of its own; usage follows an empty one.
        let message: Vec<&str> = text
            .lines()
            .map(str::trim)
            .take_while(|line| !line.is_empty())
            .collect();
        let failure = Failure::usage(message.join(" ")).hint(tip.as_deref().unwrap_or("see --help"));
        streams::line(&serde_json::json!({ "error": failure }).to_string());
    } else {
        streams::message(&format!("pki: {text}"), streams::INDENT);
    }
    Exit::Usage
}

/// A blank at which clap breaks no line.
const NO_BREAK: char = '\u{a0}';

/// The mark before what stands behind a command's options.
const BEHIND_OPTIONS: char = '\u{e000}';

/// A command whose examples stay in one piece, however narrow the terminal: they are pasted.
pub fn unbroken(command: clap::Command) -> clap::Command {
    let examples = command.get_after_help().map(|help| {
        let whole = |line: &str| match line.starts_with("  ") {
            true => line.replace(' ', NO_BREAK.encode_utf8(&mut [0; 4])),
            false => line.to_owned(),
        };
        let lines: Vec<String> = help.to_string().lines().map(whole).collect();
        BEHIND_OPTIONS.to_string() + &lines.join("\n")
    });
    let command = command.mut_subcommands(unbroken);
    match examples {
        Some(examples) => command.after_help(examples),
        None => command,
    }
}

/// Help as it is shown, with the options of every command behind those of this one: clap takes them up first,
/// because it makes a command's own when they are asked for.
fn help(error: &clap::Error) -> String {
    let text = error.render().to_string().replace(NO_BREAK, " ");
    let (options, behind) = text.split_once(BEHIND_OPTIONS).unwrap_or((&text, ""));
    let in_order = || {
        let (begin, rest) = options.split_once("\n\nGlobal options:\n")?;
        let is_next = |(at, _): &(usize, &str)| !rest[at + 2..].starts_with([' ', '\n']);
        let (end, _) = rest.match_indices("\n\n").find(is_next)?;
        let (global, own) = rest.split_at(end);
        let own = own.trim_end_matches('\n');
        Some(format!("{begin}{own}\n\nGlobal options:\n{global}\n\n"))
    };
    in_order().unwrap_or_else(|| options.to_owned()) + behind
}

/// What was typed may hold what a terminal obeys, or what makes a line read otherwise.
pub fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|c| match printable(c.encode_utf8(&mut [0; 4])) {
            Err(_) if c != '\n' => c.escape_unicode().collect(),
            _ => vec![c],
        })
        .collect()
}
