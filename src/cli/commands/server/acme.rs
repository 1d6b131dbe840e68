//! `pki server acme`: accounts by which servers order their certificates themselves.

use std::fmt;
use std::path::PathBuf;

use data_encoding::BASE64URL_NOPAD;
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use crate::ca::{self, AcmeError, CaError, ClockPolicy, NewAccount, Session, ToEnd, WhichAccount};
use crate::model::acme::InvalidAccountId;
use crate::model::{AccountId, AcmeAccount, Host, Reason, Serial, Time, counted};
use crate::store::Store;

use super::dry_run;
use crate::cli::clock::ClockArgs;
use crate::cli::context::{Context, system_clock};
use crate::cli::error::{Exit, Failure};
use crate::cli::recording::{is_behind, publish, tell_recorded_alone, unlock};
use crate::cli::report::DryRun;
use crate::cli::secrets::{IssuingSecret, Keyring};
use crate::cli::ui::Ui;
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
    /// With --revoke: record it, and leave the CRL to the next `pki publish` (no passphrase is needed)
    #[arg(long, requires = "revoke")]
    no_publish: bool,
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
        id => id.to_ascii_lowercase().parse().map(WhichAccount::Named),
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
    /// How many keys nobody is to use any more.
    keys_given_up: usize,
    /// What could not be removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets_left: Vec<PathBuf>,
    published: bool,
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
    if !pinned.is_empty() {
        context.tell_keys_given_up(&session.store)?;
    }
    Ok(Exit::Done)
}

fn cancel(args: &AcmeArgs, which: WhichAccount, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let host = &args.host;
    let reason = args.revoke.then_some(args.reason);
    // What takes something back is never refused for a clock in doubt, nor in what may be a copy.
    let mut policy = ClockPolicy::Lenient;
    let desk = context.desk_to_revoke()?;
    let meant = |store: &Store, now| ca::accounts_to_end(store, host, which, reason, now);
    let (accounts, good) = {
        let store = context.read(&desk.home)?;
        let accounts = meant(&store, system_clock())?.accounts;
        let good = good_of(&accounts, &store, system_clock())?;
        (accounts, good)
    };
    let told = in_words(&accounts, which);
    let what = match args.revoke {
        true => format!(
            "end {told} of {host}, and revoke all that was ordered by it, {}",
            match &good[..] {
                [] => "of which nothing is good".to_owned(),
                [one] => format!("certificate {one}"),
                several => counted(several.len(), "certificate"),
            }
        ),
        false => format!("end {told} of {host}"),
    };
    let question = format!("{}?", what.replacen("end", "End", 1));
    if args.dry_run {
        if accounts.is_empty() {
            ui.say(format!("{told} of {host}: ended already"));
            ui.report(&DryRun::new(Vec::new()))?;
            return Ok(Exit::Done);
        }
        ui.try_confirm(&question);
        if args.revoke && !args.no_publish && desk.home.unread().is_none() {
            args.issuing.try_out(&desk.home, ui);
        }
        return dry_run(context, what);
    }
    if !accounts.is_empty() {
        ui.confirm(&question)?;
    }
    // What an earlier command has recorded, and was cut off, is published now.
    let publishes = args.revoke && !args.no_publish && (!accounts.is_empty() || is_behind(&desk)?);
    let keyring = match publishes {
        true => unlock(&args.issuing, context, &desk, IssuingSecret::unlock_all)?,
        false => None,
    };
    let mut session = context.session(&desk, &mut policy)?;
    let ToEnd {
        accounts,
        passed_over,
    } = match accounts.is_empty() {
        // Nobody was asked about one that was granted meanwhile.
        true => ToEnd::default(),
        false => meant(&session.store, session.now)?,
    };
    let taken = ca::cancel_accounts(&mut session, &accounts, reason)?;
    match accounts.is_empty() {
        true => ui.say(format!("{told} of {host}: ended already")),
        false => ui.say(format!("{host} orders nothing more by {told}")),
    }
    let secrets_left = forget(&session, host, ui)?;
    tell_of_others(&session.store, host, ui)?;
    for id in &passed_over {
        ui.warn(format!(
            "the account {id} of {host} ended before, and its keys were not given up"
        ));
        ui.hint(format!(
            "where somebody may have them: `pki server acme {host} --cancel {id} --revoke`"
        ));
    }
    let exit = match (args.revoke, publishes) {
        (false, _) => {
            hint_at_what_is_good(&session, args, which, ui)?;
            Ok(Exit::Done)
        }
        (true, published) => {
            ui.say(format!("{} revoked", counted(taken.revoked.len(), "certificate")));
            if taken.given_up > 0 {
                ui.more(format!(
                    "{} given up: nobody is certified with one, or bound by one, again",
                    counted(taken.given_up, "key")
                ));
            }
            if !taken.revoked.is_empty() {
                ui.hint(format!(
                    "clients that read no CRL take what was revoked until it ends; once the server is set up anew, `pki server acme {host}` grants another account"
                ));
            }
            context.tell_keys_given_up(&session.store)?;
            match (published, args.no_publish) {
                (true, _) => publish(context, &mut session, keyring.as_ref().map(Keyring::keys)),
                (false, true) => Ok(tell_recorded_alone(context, &desk, "run `pki publish`")),
                (false, false) => Ok(Exit::Done),
            }
        }
    };
    let published = publishes && matches!(exit, Ok(Exit::Done));
    let exit = exit.map(|exit| match exit == Exit::Done && !secrets_left.is_empty() {
        true => Exit::Incomplete,
        false => exit,
    });
    ui.report_done(
        &Cancelled {
            host: host.clone(),
            cancelled: accounts.iter().map(|one| one.grant.account).collect(),
            revoked: taken.revoked,
            keys_given_up: taken.given_up,
            secrets_left,
            published,
        },
        exit,
    )
}

/// The accounts that are meant; also where nothing is left to be done with them.
fn in_words(accounts: &[AcmeAccount], which: WhichAccount) -> String {
    let ids: Vec<String> = accounts.iter().map(|one| one.grant.account.to_string()).collect();
    match (&ids[..], which) {
        ([one], _) => format!("the account {one}"),
        ([], WhichAccount::Named(id)) => format!("the account {id}"),
        ([], WhichAccount::Only | WhichAccount::All) => "every account".into(),
        (several, _) => format!("the accounts {}", several.join(", ")),
    }
}

/// Removes the secrets of accounts that have ended. Returned are those that are still there.
fn forget(session: &Session<'_>, host: &Host, ui: &Ui) -> Result<Vec<PathBuf>, Failure> {
    let left = ca::forget_ended_accounts(session, host)?;
    for (path, why) in &left {
        ui.warn(format!("the secret {} is still there: {why}", path.display()));
        ui.hint("remove the file: with it, an older ledger would bring the account back");
    }
    Ok(left.into_iter().map(|(path, _)| path).collect())
}

/// Says which accounts of other servers may order for this host, too: they go on.
fn tell_of_others(store: &Store, host: &Host, ui: &Ui) -> Result<(), Failure> {
    for account in store.acme_accounts()? {
        let own = account.host();
        if own != host && account.orders_for(host) {
            let id = account.grant.account;
            ui.warn(format!(
                "the account {id} of {own} may order certificates for {host}, too"
            ));
            ui.hint(format!("`pki server acme {own} --cancel {id}` ends that one"));
        }
    }
    Ok(())
}

/// What accounts have ordered and is good.
fn good_of(accounts: &[AcmeAccount], store: &Store, now: Time) -> Result<Vec<Serial>, Failure> {
    let mut good = Vec::new();
    for account in accounts {
        good.extend(store.good_of_account(account.grant.account, now)?);
    }
    Ok(good)
}

fn hint_at_what_is_good(
    session: &Session<'_>,
    args: &AcmeArgs,
    which: WhichAccount,
    ui: &Ui,
) -> Result<(), Failure> {
    let host = &args.host;
    let mut accounts = session.store.acme_accounts()?;
    accounts.retain(|account| account.host() == host && account.ended.is_some());
    if let WhichAccount::Named(id) = which {
        accounts.retain(|account| account.grant.account == id);
    }
    let good = good_of(&accounts, &session.store, session.now)?;
    if !good.is_empty() {
        ui.hint(format!(
            "{} of it stay good until they end: `pki server list {host}` shows them; the same with --revoke takes them back",
            counted(good.len(), "certificate")
        ));
    }
    Ok(())
}
