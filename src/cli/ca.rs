use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use crate::disk;
use crate::model::{Authority, Encoding, Time};
use crate::operate::{self, Keys};
use crate::x509::Certificate;

use super::context::Context;
use super::failure::{Exit, Failure};
use super::form;
use super::root::clock_policy;
use super::secrets::IssuingSecret;

/// The CAs that the root makes
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  pki ca install servers-ca.crt      the servers' CA, as the root has signed it elsewhere")]
pub enum Verb {
    Install(InstallArgs),
}

/// Take in the certificate of the servers' CA that the root has signed elsewhere
///
/// The answer to the request that `pki server issue` writes where the root's key is away.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki ca install servers-ca.crt")]
pub struct InstallArgs {
    /// The certificate, PEM
    file: PathBuf,
    /// Go on although the clock stands before the last event or far after it: --confirm CLOCK
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    #[command(flatten)]
    issuing: IssuingSecret,
}

#[derive(Debug, Serialize)]
struct Installed {
    subject: String,
    not_after: Time,
}

impl std::fmt::Display for Installed {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What a person reads was said while it happened.
        Ok(())
    }
}

pub fn run(verb: Verb, context: &Context) -> Result<Exit, Failure> {
    match verb {
        Verb::Install(args) => install(args, context),
    }
}

fn install(args: InstallArgs, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let mut policy = clock_policy(args.confirm.as_deref())?;
    let desk = context.desk()?;
    let unfit = |why: String| {
        Failure::refused(format!("{}: {why}", args.file.display()))
            .hint("`pki root sign servers-ca.csr` makes the certificate that belongs here")
    };
    let text = disk::read_given(&args.file, 1 << 20)?;
    if Encoding::of(&text) != Encoding::Pem {
        return Err(form::no_certificate(&args.file, &text));
    }
    let certificate = Certificate::from_pem(&text).map_err(|why| unfit(why.to_string()))?;
    let chain = operate::servers_chain(&desk.home, certificate).map_err(|why| unfit(why.to_string()))?;
    if !desk.home.key_path(Authority::Servers).exists() {
        return Err(unfit(
            "nobody has asked for it here: there is no servers/servers.key".into(),
        ));
    }
    let keyring = args.issuing.unlock_all(&desk.home, ui)?;
    let key = operate::servers_key(&desk.home, &keyring.passphrase)?;
    let chain = {
        let mut session = context.session(&desk, &mut policy)?;
        operate::install_servers(&mut session, chain, &key).map_err(|why| unfit(why.to_string()))?
    };
    let installed = Installed {
        subject: chain.issuing().subject_text().to_owned(),
        not_after: chain.issuing().validity().not_after,
    };
    ui.say(format!(
        "{} is installed, until {}",
        installed.subject,
        installed.not_after.date()
    ));
    // The home knows it from now on.
    let desk = context.desk()?;
    let servers = operate::open_servers(&desk.home, chain, key)?;
    let mut session = context.session(&desk, &mut policy)?;
    let keys = Keys {
        issuing: Some(&keyring.issuing),
        servers: Some(&servers),
    };
    let exit = context.publish_change(&mut session, keys);
    ui.hint("`pki server issue HOST` certifies the first server");
    ui.report_done(&installed, exit)
}
