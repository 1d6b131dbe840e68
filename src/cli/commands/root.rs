//! `pki root`: does what needs the root's key, which may be on a medium of its own.

use std::path::PathBuf;

use clap::Subcommand;

use super::passphrase::{self, RootArgs};
use crate::ca::{self, CaError};
use crate::cli::clock::ClockArgs;
use crate::disk::{self, Shown};
use crate::home::config::check_base_url;
use crate::key::os_rng;
use crate::model::{Domain, IpRange, NameConstraints, Time};
use crate::x509::Certificate;

use crate::cli::context::{Context, system_clock};
use crate::cli::error::{Exit, Failure};
use crate::cli::handed_in;
use crate::cli::place::new_file;
use crate::cli::report::DryRun;
use crate::cli::secrets::{IssuingSecret, RootSecret};

/// The root: what needs its key
#[derive(Debug, Subcommand)]
#[command(defer = true)]
#[command(after_help = "\
Examples:
  pki root crl                                           its CRL signed anew, about once a year
  pki root sign servers-ca.csr --root /media/root        the servers' CA, on a machine without a home
  pki root passphrase                                    another passphrase for its key")]
pub enum Verb {
    Crl(CrlArgs),
    Sign(SignArgs),
    Passphrase(RootArgs),
}

/// Sign the servers' CA for a request, where the root is: on a machine of its own, without a home
///
/// `pki server issue` writes the request where the root's key is away, and `pki ca install` takes the answer
/// in.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki root sign servers-ca.csr --root /media/root --out servers-ca.crt
  pki root sign servers-ca.csr --root /media/root --base-url http://pki.acme.example
  pki root sign servers-ca.csr --root /media/root --domain acme.example     of a root that says nothing of domains")]
pub struct SignArgs {
    /// The request
    request: PathBuf,
    /// The directory with root.key and root.crt
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// Where the public half of the publication is served (base_url in the home's pki.toml)
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// A domain that it may vouch for, with everything below it; may be repeated [default: as the root says]
    #[arg(long, value_name = "DOMAIN")]
    domain: Vec<Domain>,
    /// A further domain of e-mail addresses; may be repeated
    #[arg(long, value_name = "DOMAIN", requires = "domain")]
    email_domain: Vec<Domain>,
    /// A range of IP addresses that it may vouch for; may be repeated [default: none]
    #[arg(long, value_name = "CIDR", requires = "domain")]
    ip_range: Vec<IpRange>,
    /// Where the certificate goes
    #[arg(long, value_name = "FILE", value_parser = new_file(), default_value = "servers-ca.crt")]
    out: PathBuf,
    #[command(flatten)]
    secret: RootSecret,
}

/// Sign the root's CRL anew, and publish it
///
/// Needed before the old one ends, about once a year: servers that check the whole chain let nobody in
/// without it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki root crl
  pki root crl --root-passphrase-file root.txt --passphrase-file issuing.txt")]
pub struct CrlArgs {
    /// Sign and keep it, and leave publishing to the next `pki publish`
    #[arg(long)]
    no_publish: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    clock: ClockArgs,
    #[command(flatten)]
    root: RootSecret,
    #[command(flatten)]
    issuing: IssuingSecret,
}

pub fn run(verb: Verb, context: &Context) -> Result<Exit, Failure> {
    match verb {
        Verb::Crl(args) => crl(args, context),
        Verb::Sign(args) => sign(args, context),
        Verb::Passphrase(args) => passphrase::root(&args, context),
    }
}

fn sign(args: SignArgs, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let request = handed_in::request(
        &args.request,
        None,
        "`pki server issue` writes the request that is meant",
    )?;
    if let Some(url) = &args.base_url {
        check_base_url(url).map_err(|why| Failure::usage(why).hint("give it as it stands in pki.toml"))?;
    }
    if disk::is_taken(&args.out) {
        return Err(CaError::Exists(Shown(args.out)).into());
    }
    let certificate = args.root.join("root.crt");
    let certificate = Certificate::from_pem(&disk::read(&certificate, 1 << 20)?)
        .map_err(|why| Failure::refused(format!("{}: {why}", certificate.display())))?;
    let permitted =
        (!args.domain.is_empty()).then(|| NameConstraints::of(args.domain, args.email_domain, args.ip_range));
    if permitted.is_none() && certificate.name_constraints().is_none() {
        return Err(
            Failure::usage("the root does not say what the servers' CA may vouch for (it was made with --no-name-constraints)")
                .hint("say it with --domain, as at `pki init`: where the home is, `pki server issue` shows the whole command"),
        );
    }
    if let (Some(permitted), Some(says)) = (&permitted, certificate.name_constraints())
        && !permitted.lie_within(says)
    {
        return Err(Failure::refused(format!(
            "the root permits {says} alone, and not all of {permitted}"
        ))
        .hint("leave --domain away, or name what the root permits"));
    }
    let root = args
        .secret
        .unlock_at(&args.root.join("root.key"), certificate, ui)?;
    let meant = permitted
        .as_ref()
        .or(root.certificate().name_constraints())
        .map_or(String::new(), |permitted| permitted.of_servers().to_string());
    ui.confirm(&format!(
        "Sign a CA for servers of {meant}, below {}?",
        root.certificate().subject_text()
    ))?;
    let chain = root.sign_servers(
        request.public_key(),
        permitted.as_ref(),
        args.base_url.as_deref(),
        system_clock(),
        &mut os_rng(),
    )?;
    disk::create_private(&args.out, chain.ca().pem().as_bytes())?;
    ui.say(format!(
        "{} is signed, for {}, until {}: {}",
        chain.ca().subject_text(),
        chain.permitted(),
        chain.ca().validity().not_after.date(),
        args.out.display()
    ));
    ui.hint("where the home is, run `pki ca install` with it");
    ui.report(&SignedCa {
        file: args.out,
        not_after: chain.ca().validity().not_after,
    })?;
    Ok(Exit::Done)
}

/// The CA that was signed, for scripts.
#[derive(Debug, serde::Serialize)]
struct SignedCa {
    file: PathBuf,
    not_after: Time,
}

impl std::fmt::Display for SignedCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.file.display())
    }
}

fn crl(args: CrlArgs, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let desk = context.desk()?;
    if args.dry_run {
        args.root.try_out(&desk.home, ui);
        ui.say(format!(
            "would sign the root's CRL for {}",
            desk.home.config().root_crl_life
        ));
        ui.report(&DryRun::new(vec!["sign the root's CRL".into()]))?;
        return Ok(Exit::Done);
    }
    let root = args.root.unlock(&desk.home, ui)?;
    let issuing = if args.no_publish {
        None
    } else {
        Some(args.issuing.unlock(&desk.home, ui)?)
    };
    let mut session = context.session(&desk, &mut args.clock.policy()?)?;
    let terms = ca::sign_root_crl(&mut session, &root)?;
    ui.say(format!(
        "the root's CRL {} is good until {}",
        terms.number,
        terms.next_update.date()
    ));
    let exit = match issuing {
        None => {
            ui.hint("run `pki publish`: servers still have the old one");
            Ok(Exit::Done)
        }
        Some(issuing) => context.publish_change(&mut session, &issuing),
    };
    ui.report_done(
        &Signed {
            number: terms.number,
            this_update: terms.this_update,
            next_update: terms.next_update,
        },
        exit,
    )
}

/// The CRL that was signed, for scripts.
#[derive(Debug, serde::Serialize)]
struct Signed {
    number: u64,
    this_update: Time,
    next_update: Time,
}

impl std::fmt::Display for Signed {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What a person reads was said while it happened.
        Ok(())
    }
}
