//! `pki doctor`: reports what is wrong with a home or soon will be.

use std::fmt;

use serde::Serialize;

use crate::disk::Shown;
use crate::doctor::{self, Finding, Severity};
use crate::home::{Home, HomeError};

use crate::cli::context::{Context, system_clock};
use crate::cli::error::{Exit, Failure};
use crate::cli::secrets::IssuingSecret;
use crate::cli::streams;

/// Find what is wrong or soon will be, with the command that mends it
///
/// Ends with exit code 3 if there are warnings or errors, and with 0 if there are only notes. It asks for no
/// passphrase, so it cannot tell whether the keys open with the right one; with --unlock it can.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki doctor
  pki doctor --unlock                    do all keys open with the passphrase of the issuing key?
  pki doctor --json | jq -r '.findings[] | \"\\(.severity) \\(.code)\"'")]
pub struct Args {
    /// Open every key that the issuing key's passphrase is for, too: those of the CAs (except the root's) and
    /// of servers
    #[arg(long)]
    unlock: bool,
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
