use std::path::PathBuf;

use crate::home::Home;
use crate::model::event::KeySource;
use crate::model::lifecycle::Holder;
use crate::model::{KnownBy, Record, Span, Status};
use crate::operate::{Intent, KeyRequest, Old, OperateError, Request};
use crate::store::Store;

use super::bulk::{Origin, many};
use super::context::{Addressee, Context, system_clock};
use super::failure::{Exit, Failure};
use super::issue::{DeliveryArgs, one, read_request};

/// Issue a newer certificate to a device that has one
///
/// Name, target and profile are remembered; the key is new. The old certificate stays good until it ends, so that the device can
/// change over in its own time, unless --revoke-old.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki renew alice
  pki renew alice/laptop --revoke-old
  pki renew alice/tablet --csr tablet.csr
  pki renew --expiring 30d --out bundles --bundle-passphrase-out passphrases.tsv")]
pub struct Args {
    /// EMPLOYEE or EMPLOYEE/DEVICE
    #[arg(value_name = "ADDRESS", required_unless_present = "expiring", value_hint = clap::ValueHint::Other)]
    address: Option<Addressee>,
    /// Every device whose certificate ends within this time
    #[arg(long, value_name = "DURATION", conflicts_with_all = ["address", "csr", "bundle_passphrase_fd", "bundle_passphrase_file"])]
    expiring: Option<Span>,
    /// The request of a device that made its own key
    #[arg(long, value_name = "FILE", conflicts_with_all = ["p12", "qr", "bundle_passphrase_out", "bundle_passphrase_fd", "bundle_passphrase_file"])]
    csr: Option<PathBuf>,
    /// How many days the certificate is good [default: the profile's]
    #[arg(long, value_name = "N")]
    days: Option<i64>,
    /// Revoke the old certificate as soon as the new one is delivered
    #[arg(long)]
    revoke_old: bool,
    #[command(flatten)]
    delivery: DeliveryArgs,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let home = context.open()?;
    let old = if args.revoke_old { Old::Revoked } else { Old::Kept };
    match args.expiring {
        Some(within) => {
            let (requests, own) = expiring(&args, within, &home, context)?;
            for address in &own {
                context.ui.warn(format!(
                    "{address} made its own key: renew it with `pki renew {address} --csr FILE`"
                ));
            }
            if requests.is_empty() {
                context.ui.say(format!("no certificate ends within {within}"));
                return Ok(if own.is_empty() {
                    Exit::Done
                } else {
                    Exit::Incomplete
                });
            }
            let exit = many(
                &args.delivery,
                home,
                (requests, Origin::Ledger),
                Intent::Renewal(old),
                context,
            )?;
            Ok(if exit == Exit::Done && !own.is_empty() {
                Exit::Incomplete
            } else {
                exit
            })
        }
        None => {
            let request = single(&args, &home, context)?;
            one(&args.delivery, home, request, Intent::Renewal(old), context)
        }
    }
}

fn single(args: &Args, home: &Home, context: &Context) -> Result<Request, Failure> {
    let addressee = args
        .address
        .as_ref()
        .ok_or_else(|| Failure::usage("an address is missing"))?;
    let address = context.existing(home, addressee)?;
    let store = context.read(home)?;
    let history = store.device(&address)?;
    let last = history
        .last()
        .ok_or_else(|| OperateError::NoDevice(address.clone()))?;
    let issued_here = history
        .iter()
        .rfind(|record| record.known_by == KnownBy::Issuance);
    let mut request = remembered(args, &store, home, issued_here.unwrap_or(last))?;
    match (&args.csr, &request.key) {
        (Some(path), _) => request.key = read_request(path)?,
        (None, KeyRequest::Own(_)) => return Err(OperateError::NeedsRequest(address).into()),
        (None, KeyRequest::Bundle(_)) => {}
    }
    Ok(request)
}

/// The requests of every device whose certificate ends within this time, and the devices that must ask themselves.
fn expiring(
    args: &Args,
    within: Span,
    home: &Home,
    context: &Context,
) -> Result<(Vec<Request>, Vec<crate::model::Address>), Failure> {
    let store = context.read(home)?;
    let now = system_clock().max(store.last_time());
    let mut records = Vec::new();
    store.records(&mut |record| {
        let is_device = !record.address.is_reserved();
        if is_device && record.status(now) == Status::Valid && record.validity.not_after < now + within {
            records.push(record);
        }
        Ok(())
    })?;
    records.sort_by(|a, b| a.address.cmp(&b.address));
    records.dedup_by(|a, b| a.address == b.address);
    let mut requests = Vec::new();
    let mut own = Vec::new();
    for record in &records {
        let history = store.device(&record.address)?;
        let Some(record) = history.iter().rfind(|r| r.known_by == KnownBy::Issuance) else {
            context
                .ui
                .warn(OperateError::NotIssuedHere(record.address.clone()));
            continue;
        };
        let request = remembered(args, &store, home, record)?;
        match request.key {
            KeyRequest::Own(_) => own.push(record.address.clone()),
            KeyRequest::Bundle(_) => requests.push(request),
        }
    }
    Ok((requests, own))
}

/// A request like the one that a certificate came from.
fn remembered(args: &Args, store: &Store, home: &Home, record: &Record) -> Result<Request, Failure> {
    let Some(issued) = store.issued(record)? else {
        return Err(OperateError::NotIssuedHere(record.address.clone()).into());
    };
    let key = match issued.key {
        KeySource::Bundle { p12 } => KeyRequest::Bundle(args.delivery.p12.unwrap_or(p12)),
        KeySource::Request => {
            let certificate = crate::x509::Certificate::from_der(&issued.certificate)
                .map_err(crate::authority::AuthorityError::X509)?;
            KeyRequest::Own(certificate.public_key().clone())
        }
    };
    Ok(Request {
        holder: Holder {
            address: issued.address,
            name: issued.name,
            email: issued.email,
            platform: issued.platform,
        },
        days: args.days,
        profile: home.profile(&issued.profile)?,
        key,
    })
}
