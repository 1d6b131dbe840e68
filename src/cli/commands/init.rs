//! `pki init`: founds a PKI.

use std::path::PathBuf;

use crate::ca::{self, Founding, Passphrases};
use crate::disk;
use crate::home::config::check_base_url;
use crate::model::text::{quoted, readable};
use crate::model::{Domain, IpRange, NameConstraints, Said};

use crate::cli::account::account;
use crate::cli::clock::clock_policy;
use crate::cli::context::{Context, system_clock};
use crate::cli::error::{Exit, Failure};
use crate::cli::in_shell;
use crate::cli::report::DryRun;
use crate::cli::secrets::{IssuingSecret, RootSecret};

/// Make a PKI: root, issuing CA, their CRLs, pki.toml and the first publication
///
/// The root and the issuing CA can vouch for names of your domains and for nothing else (name constraints),
/// so that devices and servers that trust the root are no worse off should it ever be stolen.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki init --org \"Acme Ltd\" --domain acme.example
  pki init --org \"Acme Ltd\" --domain acme.example --email-domain mail.example --base-url http://pki.acme.example
  pki init --org \"Acme Ltd\" --domain acme.example --offline-root /media/usb/acme-root
  pki init --org \"Acme Ltd\" --domain acme.example --root-passphrase-file root.txt --passphrase-file issuing.txt")]
pub struct Args {
    /// The organization, as every certificate names it (at most 48 characters)
    #[arg(long, value_name = "NAME")]
    org: String,
    /// A domain that the PKI may vouch for, with everything below it; may be repeated
    #[arg(long, required = true, value_name = "DOMAIN")]
    domain: Vec<Domain>,
    /// A further domain of e-mail addresses; may be repeated
    #[arg(long, value_name = "DOMAIN")]
    email_domain: Vec<Domain>,
    /// A range of IP addresses that the PKI may vouch for; may be repeated [default: none]
    #[arg(long, value_name = "CIDR")]
    ip_range: Vec<IpRange>,
    /// Say nothing of IP addresses in root and devices' CA, for verifiers that cannot read it (strongSwan
    /// before 5.9.12, Botan). It is decided once
    #[arg(long)]
    no_ip_constraints: bool,
    /// Say nothing of names either, for verifiers that can read nothing of the kind (Mbed TLS 2.28). The
    /// servers' CA says all of it all the same
    #[arg(long, conflicts_with = "no_ip_constraints")]
    no_name_constraints: bool,
    /// Where the CRLs and CA certificates will be served, plain http
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Put the root's key on another medium instead of the home
    #[arg(long, value_name = "DIR")]
    offline_root: Option<PathBuf>,
    /// Look whether it can be made, and make nothing
    #[arg(long)]
    dry_run: bool,
    /// Go on although the clock stands before this program was made: --confirm CLOCK
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    #[command(flatten)]
    issuing: IssuingSecret,
    #[command(flatten)]
    root: RootSecret,
}

/// The most characters of an organization: with " Issuing CA" behind it, it fits a CN of 64.
const ORGANIZATION: usize = 48;

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let organization = args.org.trim().to_owned();
    let count = organization.chars().count();
    if !(1..=ORGANIZATION).contains(&count) {
        return Err(Failure::usage(format!(
            "--org has {count} characters: it must have 1 to {ORGANIZATION}"
        )));
    }
    readable(&organization)
        .map_err(|why| Failure::usage(format!("--org {} {why}", quoted(&organization))))?;
    if let Some(url) = &args.base_url {
        check_base_url(url).map_err(|why| Failure::usage(format!("--base-url: {why}")))?;
    }
    let founding = Founding {
        home: context.home_path()?,
        organization,
        constraints: NameConstraints::of(args.domain, args.email_domain, args.ip_range),
        said: match (args.no_name_constraints, args.no_ip_constraints) {
            (true, _) => Said::Nothing,
            (false, true) => Said::NamesAlone,
            (false, false) => Said::All,
        },
        base_url: args.base_url,
        offline_root: args.offline_root,
        clock: clock_policy(args.confirm.as_deref())?,
    };
    if founding.home.join(crate::home::LEDGER).exists() {
        return Err(Failure::new(
            Exit::Refused,
            "exists",
            format!("there is a PKI in {} already", founding.home.display()),
        )
        .hint("`pki doctor` tells how it is; another one needs another --home"));
    }
    let place = ca::examine(&founding, system_clock())?;
    if args.dry_run {
        args.root.try_out_new(ui);
        args.issuing.try_out_new(ui);
        ui.say(format!(
            "would make the PKI of {} in {}",
            founding.organization,
            place.display()
        ));
        ui.report(&DryRun::new(vec![format!("make a PKI in {}", place.display())]))?;
        return Ok(Exit::Done);
    }
    let root = args.root.new_passphrase(ui)?;
    let issuing = args.issuing.new_passphrase(&root, ui)?;
    let passphrases = Passphrases { root, issuing };
    ui.detail("making two keys, and opening each once more");
    let founded = ca::found(&founding, &passphrases, system_clock, &account())?;

    let home = founded.home.path().display();
    ui.say(format!("the PKI of {} is in {home}", founding.organization));
    for (what, end) in founded.ends {
        ui.more(format!("{what:<12} until {}", end.date()));
    }
    match founding.said {
        Said::All => {}
        Said::NamesAlone => {
            ui.say("its root can vouch for servers at any IP address: whoever steals the root's key can be any of them");
            ui.more("to those who trust the root; names are confined to its domains, and the servers' CA to its addresses");
        }
        Said::Nothing => {
            ui.say("its root can vouch for anybody: whoever steals the root's key can be any server, of whatever domain,");
            ui.more("to those who trust the root: let no phone and no browser do that. The servers' CA is confined as always");
        }
    }
    ui.say(format!("the root's key is {}", founded.root_key.display()));
    ui.hint(if founding.offline_root.is_some() {
        "it is needed about once a year: keep that medium in a safe"
    } else {
        "it is needed about once a year: move it to a medium in a safe (root_key in pki.toml names its place)"
    });
    ui.say(format!(
        "servers load {home}/public/ca/bundle.pem and {home}/public/crl/bundle.pem"
    ));
    ui.more("most read a new CRL when they are reloaded or restarted, and not before: name where they read in a [[publish]] of pki.toml");
    ui.more("with a `command` that does it, or reload = \"elsewhere\" where something else does");
    ui.say("the CRL must be renewed by a timer, or servers will let nobody in after 30 days; one of these does it:");
    let executable = std::env::current_exe().map_or_else(|_| "pki".into(), |path| path.display().to_string());
    let absolute =
        std::path::absolute(founded.home.path()).unwrap_or_else(|_| founded.home.path().to_owned());
    let absolute = absolute.display().to_string();
    for line in timer(&executable, &absolute) {
        ui.verbatim(line);
    }
    if let Some(other) = namesake() {
        ui.say(format!(
            "{other} is another program of the same name (strongswan-pki has one): where PATH finds it first, it runs"
        ));
        ui.hint(format!(
            "in scripts and crontabs write {executable}; or give it a second name: `sudo ln -s {} /usr/local/bin/our-pki`",
            in_shell(&executable)
        ));
    }
    ui.hint("next: `pki issue alice`");
    let made = Made {
        home: absolute,
        root_key: founded.root_key.display().to_string(),
    };
    ui.report_done(&made, Ok(Exit::Done))
}

/// Another `pki` on the PATH of this shell or of cron.
fn namesake() -> Option<String> {
    let ours = std::env::current_exe().and_then(std::fs::canonicalize).ok()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(["/usr/bin".into(), "/bin".into()]);
    directories
        .map(|directory| directory.join("pki"))
        .find(|file| file.is_file() && std::fs::canonicalize(file).is_ok_and(|file| file != ours))
        .map(|file| file.display().to_string())
}

/// A timer that keeps the CRLs fresh, in the two ways that a machine may have.
fn timer(executable: &str, home: &str) -> [String; 4] {
    let pki = format!("{} --home {}", in_shell(executable), in_shell(home));
    let me = disk::account_name(rustix::process::geteuid().as_raw());
    [
        "systemd, the units for this home, in a script to be read and run as root:".into(),
        format!("  {pki} config systemd > units.sh"),
        format!("cron, one line in the crontab of {me} (`config cron` prints a file for /etc/cron.d):"),
        format!("  {}", crontab_line(&pki)),
    ]
}

/// The line of a crontab that runs `pki`: the program and its home, as a shell reads them.
pub(in crate::cli) fn crontab_line(pki: &str) -> String {
    // To cron a percent sign ends the command.
    let pki = pki.replace('%', "\\%");
    format!("17 */6 * * *  PKI_PASSPHRASE_FILE=$HOME/.pki-passphrase {pki} publish --no-input --unlock -q")
}

/// The report of what was created, for scripts.
#[derive(Debug, serde::Serialize)]
pub struct Made {
    home: String,
    root_key: String,
}

impl std::fmt::Display for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.home)
    }
}
