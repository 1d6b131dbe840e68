//! A renewal from its beginning to its end: what is due is asked for, judged, and put in its place.

use std::fs::File;
use std::time::{Duration, Instant};

use super::answer::judge;
use super::error::ReenrollError;
use super::order::{Look, Order, Outcome};
use super::pair::{self, Pair, Standing, Whole};
use super::service::Service;
use crate::credential::CredentialError;
use crate::disk::{self, Shown};
use crate::https::Identity;
use crate::key::{KeyError, Passphrase, SoftwareKey};
use crate::x509::{Certificate, pem, request};

/// The longest root certificate, in octets.
const LONGEST_ROOT: u64 = 64 << 10;

/// Looks whether a certificate is due, without connecting anywhere. That its key is another one's, or the
/// root is none, is told now, and not on the day on which it is due.
///
/// # Errors
/// Where certificate, key or root cannot be read, or the key is another one's.
pub fn look(order: &Order<'_>) -> Result<Look, ReenrollError> {
    let pair = Pair::at(order.certificate, order.key)?;
    let validity = pair.chain()?.own.validity();
    root(order)?;
    // One that is encrypted is opened once it is needed.
    if !pair.is_encrypted()? {
        pair.standing(None)?;
    }
    Ok(Look {
        is_due: validity.last_third() <= order.now || pair.is_begun(),
        is_encrypted: pair.is_encrypted()?,
        from: validity.last_third(),
        until: validity.not_after,
    })
}

/// Renews a certificate that is due, and finishes what an earlier run was cut off at.
///
/// # Errors
/// Where the service cannot be reached, refuses, or sends something else; or where a file cannot be read or
/// written. What was in place is there still, and the new key waits for the next run.
pub fn renew(order: &Order<'_>, passphrase: Option<&Passphrase>) -> Result<Outcome, ReenrollError> {
    let pair = Pair::at(order.certificate, order.key)?;
    let _lock = alone(&pair, order.wait)?;
    let passphrase = passphrase.filter(|_| pair.is_encrypted().unwrap_or(true));
    let Whole { chain, key, next } = match pair.standing(passphrase)? {
        Standing::Whole(whole) => *whole,
        Standing::Unfinished(_) if order.is_trial => return Ok(Outcome::Would),
        Standing::Unfinished(until) => {
            exchange(&pair, order)?;
            return Ok(Outcome::Finished(until));
        }
    };
    if order.now < chain.own.validity().last_third() {
        return Ok(Outcome::NotDue);
    }
    let root = root(order)?;
    let service = Service::new(order, identity(&pair, &chain.own, &chain.above, &key)?)?;
    let authorities = service.authorities()?;
    if order.is_trial {
        return Ok(Outcome::Would);
    }
    pair.sweep();
    pair.demand_room()?;
    let was_kept = next.is_some();
    let next = match next {
        Some(next) => next,
        None => pair.make_next_key(passphrase)?,
    };
    let asked = request::renewal(&chain.own, &next).map_err(ReenrollError::Request)?;
    let asked = pem::decode(pem::REQUEST, asked.as_bytes()).map_err(ReenrollError::Request)?;
    let sent = service.reenroll(&asked).map_err(|mut error| {
        if let ReenrollError::Refused { kept, .. } = &mut error {
            *kept = was_kept.then(|| Shown(pair.next_key()));
        }
        error
    })?;
    let judged = judge(
        &sent,
        &authorities,
        &root,
        &chain.own,
        next.public_key(),
        order.now,
    );
    let judged = judged.map_err(|why| service.unfit(why))?;
    let until = judged.certificate.validity().not_after;
    pair.put_next(
        &pair::next(&chain, judged.certificate, &judged.issuer, &root),
        &chain,
    )?;
    exchange(&pair, order)?;
    Ok(Outcome::Renewed(until))
}

/// Whether an exchange happened of which whoever uses the pair has not been told yet.
///
/// # Errors
/// Where certificate or key are not there.
pub fn is_untold(order: &Order<'_>) -> Result<bool, ReenrollError> {
    Ok(Pair::at(order.certificate, order.key)?.is_untold())
}

/// Notes that whoever uses the pair has been told.
///
/// # Errors
/// Where the note cannot be taken away.
pub fn told(order: &Order<'_>) -> Result<(), ReenrollError> {
    Pair::at(order.certificate, order.key)?.told()
}

fn exchange(pair: &Pair, order: &Order<'_>) -> Result<(), ReenrollError> {
    if order.announces {
        pair.note_untold()?;
    }
    pair.exchange()
}

/// The lock of the directory that the key is in.
fn alone(pair: &Pair, wait: Duration) -> Result<File, ReenrollError> {
    let begun = Instant::now();
    loop {
        if let Some(lock) = disk::lock(pair.directory())? {
            return Ok(lock);
        }
        if begun.elapsed() >= wait {
            return Err(ReenrollError::Busy {
                directory: Shown(pair.directory().to_owned()),
                waited: wait,
            });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What the device shows: its certificate, with those above it where it has them.
fn identity(
    pair: &Pair,
    own: &Certificate,
    above: &[Vec<u8>],
    key: &SoftwareKey,
) -> Result<Identity, ReenrollError> {
    let chain: Vec<&[u8]> = std::iter::once(own.der())
        .chain(above.iter().map(Vec::as_slice))
        .collect();
    let made = key
        .pkcs8_pem()
        .and_then(|pem| Identity::new(&chain, &pem).ok_or(KeyError::NotP256));
    made.map_err(|why| {
        let path = Shown(pair.key().to_owned());
        CredentialError::Key { path, why }.into()
    })
}

/// The root that was given: a CA's certificate that it signed itself, in date.
fn root(order: &Order<'_>) -> Result<Certificate, ReenrollError> {
    let no_root = |why: String| ReenrollError::Root {
        path: Shown(order.root.to_owned()),
        why,
    };
    let text = disk::read_given(order.root, LONGEST_ROOT)?;
    let root = Certificate::only_in(&text).map_err(|why| no_root(format!("cannot be the root: {why}")))?;
    if !root.is_ca() || !root.is_issued_by(&root) {
        return Err(no_root(
            "is no root: a root is a CA that has signed itself".into(),
        ));
    }
    let validity = root.validity();
    if order.now < validity.not_before || validity.ended(order.now) {
        return Err(no_root(format!(
            "is good from {} to {}, and it is {}",
            validity.not_before, validity.not_after, order.now
        )));
    }
    Ok(root)
}
