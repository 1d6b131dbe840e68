//! `pki doctor`: reports what is wrong with a home or soon will be.

use std::fmt;

use serde::Serialize;

use crate::ca;
use crate::disk::Shown;
use crate::doctor::{self, Finding, Severity};
use crate::home::{Home, HomeError};
use crate::model::Authority;

use crate::cli::context::{Context, system_clock};
use crate::cli::error::{Exit, Failure};
use crate::cli::secrets::IssuingSecret;
use crate::cli::streams;

/// How many times a passphrase may be typed wrongly.
const TRIES: usize = 3;

/// Find what is wrong or soon will be, with the command that mends it
///
/// Ends with exit code 3 if there are warnings or errors, and with 0 if there are only notes. It asks for no
/// passphrase, so it cannot tell whether the keys open with the right one; with --unlock it can.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki doctor
  pki doctor --unlock                    do all keys open with the passphrase of the issuing key?
  pki doctor --drill                     do you still know the passphrases?
  pki doctor --json | jq -r '.findings[] | \"\\(.severity) \\(.code)\"'")]
pub struct Args {
    /// Open every key that the issuing key's passphrase is for, too: those of the CAs (except the root's) and
    /// of servers
    #[arg(long)]
    unlock: bool,
    /// Ask for the passphrases of the issuing key and the root's at the terminal: are they still known? What
    /// a file or a command knows does not count; the day is remembered
    #[arg(long, conflicts_with = "unlock")]
    drill: bool,
    #[command(flatten)]
    issuing: IssuingSecret,
}

#[derive(Debug, Serialize)]
struct Findings {
    findings: Vec<Finding>,
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_findings(f, &self.findings)
    }
}

/// The findings as text for people: two lines each.
pub fn write_findings(f: &mut fmt::Formatter<'_>, findings: &[Finding]) -> fmt::Result {
    for finding in findings {
        let found = format!("{}: {} [{}]", finding.severity, finding.message, finding.code);
        writeln!(f, "{}", streams::fitted(&found, 2))?;
        writeln!(f, "{}", streams::fitted(&format!("  → {}", finding.remedy), 4))?;
    }
    Ok(())
}

/// Whether there is more among them than notes.
pub fn is_serious(findings: &[Finding]) -> bool {
    findings
        .iter()
        .any(|finding| finding.severity >= Severity::Warning)
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let path = context.home_path()?;
    if let Err(error) = std::fs::metadata(&path)
        && error.kind() == std::io::ErrorKind::NotFound
    {
        return Err(HomeError::Missing(Shown(path)).into());
    }
    if args.drill {
        return drill(context);
    }
    // Asked for first: a home that cannot be opened is told by what is found in it.
    let unlocked = match Home::open(&path) {
        Ok(home) if args.unlock => {
            let passphrase = args.issuing.passphrase(&home, &context.ui)?;
            doctor::unopened(&home, &passphrase)
        }
        Ok(_) | Err(_) => Vec::new(),
    };
    let mut findings = doctor::examine(&path, |home| context.desk_of(home), system_clock());
    findings.splice(0..0, unlocked);
    let serious = is_serious(&findings);
    if findings.is_empty() {
        context.ui.say("all is well");
    } else if !serious {
        context.ui.say("all is well, with notes");
    }
    if !args.unlock && !serious {
        context
            .ui
            .more("the keys were not tried: `pki doctor --unlock` does that");
    }
    if !context.ui.json {
        for finding in &mut findings {
            finding.remedy = context.ui.pasteable(&finding.remedy);
        }
    }
    context.ui.report(&Findings { findings })?;
    Ok(if serious { Exit::Found } else { Exit::Done })
}

/// A passphrase that was asked for.
#[derive(Debug, Serialize)]
struct Drilled {
    /// Whose passphrases are known.
    known: Vec<Authority>,
    /// Whose are not.
    forgotten: Vec<Authority>,
}

impl fmt::Display for Drilled {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What a person reads was said while it happened.
        Ok(())
    }
}

/// Asks for both passphrases at the terminal, whatever else could give them.
fn drill(context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    if !ui.can_ask() {
        return Err(
            Failure::secret("a drill asks a person at a terminal, and there is none")
                .hint("run `pki doctor --drill` at a terminal, without --no-input or --json"),
        );
    }
    let desk = context.desk_to_revoke()?;
    let mut drilled = Drilled {
        known: Vec::new(),
        forgotten: Vec::new(),
    };
    for (authority, what) in [(Authority::Issuing, "issuing key"), (Authority::Root, "root key")] {
        let place = desk.home.key_path(authority);
        if !place.exists() {
            ui.say(format!(
                "the {what} is not at {}: its passphrase was not asked for",
                place.display()
            ));
            continue;
        }
        let mut is_known = false;
        for _ in 0..TRIES {
            is_known = ca::opens(&desk.home, authority, &ui.ask_passphrase(what)?)?;
            if is_known {
                break;
            }
            ui.say("that is not the passphrase");
        }
        if is_known {
            ui.say(format!("the {what} opens"));
            drilled.known.push(authority);
        } else {
            ui.warn(format!("the passphrase of the {what} was not known"));
            ui.hint(match authority {
                Authority::Root => "look where it is kept, while the root is needed by nobody: without it the PKI ends with the last root CRL",
                Authority::Issuing | Authority::Servers => {
                    "look where it is kept, while a file or a command still gives it: then `pki ca passphrase` gives the keys another one"
                }
            });
            drilled.forgotten.push(authority);
        }
    }
    ca::note_drill(&desk, &drilled.known)?;
    let exit = if drilled.forgotten.is_empty() {
        Exit::Done
    } else {
        Exit::Found
    };
    ui.report(&drilled)?;
    Ok(exit)
}
