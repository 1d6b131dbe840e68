//! `pki server acme`: accounts by which servers order their certificates themselves.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use crate::ca::{self, AcmeError, CaError, ClockPolicy, NewAccount, WhichAccount};
use crate::model::acme::InvalidAccountId;
use crate::model::{AccountId, Host, Reason, Serial, counted};

use crate::store::Store;

use super::dry_run;
use crate::cli::clock::ClockArgs;
use crate::cli::context::{Context, system_clock};
use crate::cli::error::{Exit, Failure};
use crate::cli::secrets::IssuingSecret;
use crate::cli::words::Words;

/// Let a server order its certificates itself, by ACME (certbot, Caddy, lego), or no longer
///
/// Prints the key identifier and the MAC key of a new account, once: the client is bound to the account by
/// them (external account binding), and nothing is dialled. The account may order certificates for HOST and
/// each --name, and for nothing else. `pki serve --acme ADDR` is where it orders.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki server acme api.acme.example
  pki server acme api.acme.example --name www.acme.example --days 30
  pki server acme api.acme.example --cancel             no more certificates; what it has stays good
  pki server acme api.acme.example --cancel --revoke    somebody broke into it: nothing stays good")]
pub struct AcmeArgs {
    /// Which server
    host: Host,
    /// Another name that it may order a certificate for; several times for several
    #[arg(long = "name", value_name = "HOST", conflicts_with = "cancel")]
    names: Vec<Host>,
    /// How many days its certificates live, 1 to 398 [default: 90]
    #[arg(long, conflicts_with = "cancel", allow_negative_numbers = true)]
    days: Option<i64>,
    /// End its account, one of several by its KID, or `all`: nothing is ordered by it any more
    #[arg(long, value_name = "KID", num_args = 0..=1, default_missing_value = "", value_parser = which)]
    cancel: Option<WhichAccount>,
    /// With --cancel: take back all that it has ordered, too
    #[arg(long, requires = "cancel")]
    revoke: bool,
    /// Why
    #[arg(long, requires = "revoke", default_value = "compromised", value_parser = Words::new(&Reason::ALL, Reason::word))]
    reason: Reason,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    clock: ClockArgs,
    #[command(flatten)]
    issuing: IssuingSecret,
}

fn which(text: &str) -> Result<WhichAccount, InvalidAccountId> {
    match text {
        "" => Ok(WhichAccount::Only),
        "all" => Ok(WhichAccount::All),
        id => id.parse().map(WhichAccount::Named),
    }
}

/// What the client is given.
#[derive(Debug, Serialize)]
struct Granted {
    host: Host,
    names: Vec<Host>,
    kid: AccountId,
    #[serde(serialize_with = "text")]
    mac_key: Zeroizing<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<String>,
}

fn text<S: Serializer>(secret: &Zeroizing<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret)
}

impl fmt::Display for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "kid        {}", self.kid)?;
        writeln!(f, "MAC key    {}", *self.mac_key)?;
        match &self.directory {
            Some(directory) => writeln!(f, "directory  {directory}"),
            None => Ok(()),
        }
    }
}

/// The accounts that were ended.
#[derive(Debug, Serialize)]
struct Cancelled {
    host: Host,
    cancelled: Vec<AccountId>,
    revoked: Vec<Serial>,
}

impl fmt::Display for Cancelled {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

pub fn acme(args: AcmeArgs, context: &Context) -> Result<Exit, Failure> {
    match args.cancel {
        Some(which) => cancel(&args, which, context),
        None => grant(args, context),
    }
}

fn grant(args: AcmeArgs, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let mut policy = args.clock.policy()?;
    let desk = context.desk()?;
    let Some(chain) = desk.home.servers() else {
        return Err(CaError::from(AcmeError::NoAuthority).into());
    };
    let mut names = vec![args.host.clone()];
    for name in args.names {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    ca::demand_grantable(&names, args.days, chain.issuer(), system_clock())?;
    let (others, pinned) = {
        let store = context.read(&desk.home)?;
        let mut pinned = Vec::new();
        for name in &names {
            pinned.extend(store.server(name)?.map(|server| server.host));
        }
        (ca::open_accounts_of(&store, &args.host)?.len(), pinned)
    };
    let told = names
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    if args.dry_run {
        args.issuing.try_out(&desk.home, ui);
        return dry_run(
            context,
            format!("make an account that may order certificates for {told}"),
        );
    }
    let keyring = args.issuing.unlock_all(&desk.home, ui)?;
    let new = NewAccount::make(names.clone(), args.days, &keyring.passphrase)?;
    let mut session = context.session(&desk, &mut policy)?;
    ca::grant_account(&mut session, &new)?;
    let kid = new.grant().account;
    ui.say(format!("{} may order certificates for {told}", args.host));
    if others > 0 {
        ui.more(format!(
            "its other accounts stay; `pki server acme {} --cancel KID` ends one",
            args.host
        ));
    }
    ui.report_once(
        &Granted {
            host: args.host.clone(),
            names,
            kid,
            mac_key: Zeroizing::new(BASE64URL_NOPAD.encode(&*new.mac_key())),
            directory: desk.home.config().serve.acme_directory(),
        },
    )
    .map_err(|failure| {
        failure.hint(format!(
            "nobody has the MAC key of the account {kid}, and nothing shows it again: `pki server acme {} --cancel {kid}`, then run the same command again",
            args.host
        ))
    })?;
    ui.hint("the MAC key is shown this once: give it to the client by a safe way, in a file of its own and not on a command line");
    if desk.home.config().serve.acme_directory().is_none() {
        ui.warn("pki.toml does not say yet where servers order: set `acme` and `host` under [serve]");
    }
    for name in &pinned {
        ui.hint(format!(
            "{name} is in the register, so apps hold it to its key: the client must order with that one (certbot: --csr, or --reuse-key)"
        ));
    }
    Ok(Exit::Done)
}

fn cancel(args: &AcmeArgs, which: WhichAccount, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let host = &args.host;
    // What takes something back is never refused for a clock in doubt, nor in what may be a copy.
    let mut policy = ClockPolicy::Lenient;
    let desk = context.desk_to_revoke()?;
    let meant = |store: &Store, now| ca::accounts_to_end(store, host, which, args.revoke, now);
    let accounts = {
        let store = context.read(&desk.home)?;
        meant(&store, system_clock())?
    };
    let told: Vec<String> = accounts.iter().map(|one| one.grant.account.to_string()).collect();
    let told = match &told[..] {
        [one] => format!("the account {one}"),
        several => format!("the accounts {}", several.join(", ")),
    };
    let what = match args.revoke {
        true => format!("end {told} of {host}, and revoke all that was ordered by it"),
        false => format!("end {told} of {host}"),
    };
    let question = format!("{}?", what.replacen("end", "End", 1));
    if args.dry_run {
        ui.try_confirm(&question);
        if args.revoke {
            args.issuing.try_out(&desk.home, ui);
        }
        return dry_run(context, what);
    }
    ui.confirm(&question)?;
    let keyring = match args.revoke {
        true => Some(args.issuing.unlock_all(&desk.home, ui)?),
        false => None,
    };
    let mut session = context.session(&desk, &mut policy)?;
    let accounts = meant(&session.store, session.now)?;
    let revoked = ca::cancel_accounts(&mut session, &accounts, args.revoke.then_some(args.reason))?;
    for account in &accounts {
        if let Err(error) = ca::forget_account(&desk.home, account.grant.account) {
            ui.warn(format!(
                "the secret of {} is still there: {error}",
                account.grant.account
            ));
        }
    }
    ui.say(format!("{host} orders nothing more by {told}"));
    let exit = match keyring {
        Some(keyring) => {
            ui.say(format!("{} revoked", counted(revoked.len(), "certificate")));
            context.publish_change(&mut session, keyring.keys())
        }
        None => {
            let mut good = 0;
            for account in &accounts {
                good += session
                    .store
                    .good_of_account(account.grant.account, session.now)?
                    .len();
            }
            if good > 0 {
                ui.hint(format!(
                    "{} of it stay good until they end: `pki server list {host}` shows them; the same with --revoke takes them back",
                    counted(good, "certificate")
                ));
            }
            Ok(Exit::Done)
        }
    };
    ui.report_done(
        &Cancelled {
            host: host.clone(),
            cancelled: accounts.iter().map(|one| one.grant.account).collect(),
            revoked,
        },
        exit,
    )
}
