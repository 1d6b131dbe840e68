//! `pki check`: examines a live server as an attacker and as a phone, and reports what it finds.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;
use zeroize::Zeroizing;

use super::doctor::{is_serious, write_findings};
use crate::ca;
use crate::check::{self, Depth, Identity, Met, Report, Url, Verdict};
use crate::cli::canary::{ServerArgs, fly};
use crate::cli::context::{Context, system_clock};
use crate::cli::error::{Exit, Failure};
use crate::cli::handed_in;
use crate::cli::report::{lines, table};
use crate::cli::secrets::IssuingSecret;
use crate::disk::{self, Exposed};
use crate::doctor::{self, Finding};
use crate::home::{Home, HomeError};
use crate::key::Passphrase;
use crate::model::{Contents, Kind, Span};
use crate::store::Store;
use crate::x509::foreign::ForeignCertificate;

/// Examine a live server, as an attacker and as a phone
///
/// Which protocol versions and suites it offers; whether it is the server that phones expect, by chain, host
/// name and pins; whether it lets in who has no certificate or a forged one, by every version, server name
/// and protocol, by other methods, with a query, a forged name and the host in other letters. Then a canary,
/// a certificate that is issued and revoked for this: is it let in, and is it refused once it is revoked, on
/// new connections, resumed sessions and connections kept alive? How soon does the server act on a new CRL?
/// Exit code 3 with warnings or errors; notes alone are 0.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki check https://api.acme.example
  pki check https://api.acme.example/v1/hello       a path that any device may read
  pki check https://api.acme.example --resolve api.acme.example:443:192.0.2.7
  pki check https://api.acme.example --no-canary    issues nothing, needs no passphrase and no PKI
  pki check https://api.acme.example --cert alice.pem --key alice.key
  pki check https://api.acme.example --json | jq -r '.findings[] | \"\\(.severity) \\(.code)\"'")]
pub struct Args {
    /// The server, https, with a path that any device may read
    #[arg(value_name = "URL", value_hint = clap::ValueHint::Url)]
    url: Url,
    /// Issue no certificate for this: what becomes of a revoked one is not seen
    #[arg(long)]
    no_canary: bool,
    /// Come with this certificate instead of a canary (PEM, with what stands above it): is it let in? One
    /// that has ended must not be
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with = "no_canary")]
    cert: Option<PathBuf>,
    /// Its key (PEM, not encrypted, mode 0600)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    issuing: IssuingSecret,
}

#[derive(Debug, Serialize)]
struct Examination {
    url: String,
    #[serde(flatten)]
    report: Report,
}

impl fmt::Display for Examination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = table(&["", "ASKED", "ANSWERED"]);
        for answer in &self.report.answers {
            let mark = match answer.verdict {
                Verdict::Good => "ok",
                Verdict::Bad => "!!",
                Verdict::Open => "--",
            };
            rows.add_row([mark, answer.question.words(), &answer.answer]);
        }
        f.write_str(&lines(&rows))?;
        write_findings(f, &self.report.findings)
    }
}

/// How long a server is waited for where nothing else is said.
const PATIENCE: Span = Span::seconds(30);
/// The longest certificate chain or key that is read.
const LONGEST: u64 = 1 << 20;

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let patience = args.server.patience(PATIENCE)?;
    let given = match (&args.cert, &args.key) {
        (Some(cert), Some(key)) => Some(read_identity(cert, key)?),
        (Some(_) | None, _) => None,
    };
    let flies = given.is_none() && !args.no_canary;
    let home = open(context, flies)?;
    let mut met = args
        .server
        .meet(&args.url, home.as_ref(), patience, &context.ui)?;
    if let Some(home) = &home {
        // As they are now: a canary brings new ones, which the server may be slow to read.
        met.report.add(crls(context, home)?);
    }
    let mut exit = Exit::Done;
    let mut has_flown = false;
    if met.is_expected {
        let chain = home.as_ref().map(Home::chain);
        let forged = check::forge(chain, system_clock(), &mut crate::key::os_rng());
        let asks = check::question(&mut met, &forged.map_err(check::CheckError::from)?);
        match (given, home) {
            (Some(identity), _) if asks => check::ask_once(&mut met, &identity, system_clock()),
            (None, Some(_)) if asks && flies && met.is_over() => {
                met.tell_no_time("whether a revoked device is let in");
            }
            (None, Some(home)) if asks && flies => {
                // Whoever types takes none of the server's time.
                let opened = met.wait_for(|| args.issuing.open_issuing(&home, &context.ui));
                let (issuing, passphrase) = opened?;
                let server = servers_own(&home, &context.read(&home)?, &met, &passphrase);
                let desk = context.desk_of(home);
                let depth = Depth::Everything;
                exit = fly(context, &desk, &issuing, &mut met, server, depth, patience)?.published;
                has_flown = true;
            }
            (Some(_) | None, _) => {}
        }
        met.conclude();
    } else if met.speaks_tls_of_today() {
        context.ui.say(
            "nothing is asked of this server, and no certificate shown: it is not known for the right one",
        );
    }
    let mut report = met.report;
    report
        .findings
        .sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    if !context.ui.json {
        for finding in &mut report.findings {
            finding.remedy = context.ui.pasteable(&finding.remedy);
        }
    }
    let serious = is_serious(&report.findings);
    if !serious {
        context.ui.say(if has_flown {
            "nothing is wrong"
        } else {
            "nothing is wrong in what was asked; what a revoked device gets was not"
        });
    }
    let url = args.url.to_string();
    if serious && exit == Exit::Done {
        exit = Exit::Found;
    }
    context.ui.report_done(&Examination { url, report }, Ok(exit))
}

/// The identity of the server itself, where the home has its key: a certificate of this PKI that no device
/// has.
fn servers_own(home: &Home, store: &Store, met: &Met, passphrase: &Passphrase) -> Option<Identity> {
    let servers = store.servers().ok()?;
    met.chains().iter().find_map(|chain| {
        let pin = ForeignCertificate::from_der(chain.first()?).ok()?.pin;
        let server = servers.iter().find(|server| server.knows(pin))?;
        let key = ca::open_key(home, &server.host, pin, passphrase).ok()?;
        check::identity(chain.clone(), &key).ok()
    })
}

/// The home. A server can be examined without one, as far as that goes.
fn open(context: &Context, is_needed: bool) -> Result<Option<Home>, Failure> {
    match Home::open(&context.home_path()?) {
        Ok(home) => Ok(Some(home)),
        Err(HomeError::Missing(_)) if !is_needed => Ok(None),
        Err(error @ HomeError::Missing(_)) => Err(Failure::from(error)
            .hint("--home DIR or PKI_HOME names its place; --no-canary examines a server without a PKI")),
        Err(error) => Err(error.into()),
    }
}

/// The findings of doctor on the CRLs that servers are given: one that expires locks everybody out.
fn crls(context: &Context, home: &Home) -> Result<Vec<Finding>, Failure> {
    let mut found = Vec::new();
    doctor::crls(home, &context.read(home)?, system_clock(), &mut found);
    Ok(found)
}

fn read_identity(cert: &Path, key: &Path) -> Result<Identity, Failure> {
    let contents = Contents::of(&Zeroizing::new(disk::read_given(cert, LONGEST)?));
    let chain = contents.all(Kind::Certificate);
    let chain = chain.map_err(|why| handed_in::no_certificate(cert, &contents, &why))?;
    let chain = chain.into_iter().map(<[u8]>::to_vec).collect();
    let mode = std::fs::metadata(key).map_err(disk::failed("read", key))?.mode();
    if mode & 0o077 != 0 {
        let exposed = Exposed::new(key, mode & 0o7777);
        return Err(Failure::secret(format!("the key {exposed}")).hint(exposed.remedy()));
    }
    let octets = Zeroizing::new(disk::read_given(key, LONGEST)?);
    let secret = PrivateKeyDer::from_pem_slice(&octets).map_err(|_| handed_in::no_key(key, &octets))?;
    Identity::new(chain, secret).map_err(|why| {
        let [key, cert] = [key, cert].map(Path::display);
        Failure::refused(format!("{key} is not the key of {cert}: {why}"))
            .hint("give both of one bundle, the device's own certificate before those above it")
    })
}
