//! Revokes the certificates of a device or one single certificate, and offboards employees.

use std::collections::BTreeMap;

use super::enrollment::handout::{discard, ended};
use super::enrollment::{ids, open_of_device, open_of_employee};
use super::session::Session;
use super::{CaError, NotFound};
use crate::model::{
    Address, Authority, Employee, Fact, Invite, Reason, Record, Revocation, Serial, Status, Time,
};
use crate::store::Store;

/// The certificates that are to be revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// Every certificate of a device that servers still accept.
    Device(Address),
    /// Exactly one certificate.
    Certificate(Serial),
}

impl std::fmt::Display for Whom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Device(address) => address.fmt(f),
            Self::Certificate(serial) => serial.fmt(f),
        }
    }
}

/// The outcome of a revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// The certificates that are revoked now and were not before, or for less.
    pub certificates: Vec<Serial>,
    /// The time since which the last one was revoked already, where no other was left to revoke.
    pub already: Option<Time>,
    /// The employee whose certificates they were, where the ledger knows.
    pub employee: Option<Employee>,
    /// The number of devices with a valid certificate that the person has left.
    pub devices_left: usize,
    /// Certificates of the same device that servers still accept and that have the key of a certificate which
    /// was revoked because somebody else may have that key: a renewal by CSR may keep the key.
    pub same_key: Vec<Serial>,
    /// The invites that were open for what is revoked, and are cancelled.
    pub invites: Vec<Invite>,
}

/// Revokes the certificates of a device, or one certificate.
///
/// # Errors
/// Where there is none of that name, or it cannot be recorded.
pub fn revoke(session: &mut Session<'_>, whom: &Whom, reason: Reason) -> Result<Revoked, CaError> {
    let invites = invites_of(&session.store, whom, session.clock.earliest())?;
    let (employee, records) = match whom {
        Whom::Device(address) => {
            let records = session.store.device(address)?;
            // Its sheet may have been lost.
            if records.is_empty() && invites.is_empty() {
                return Err(NotFound::Device(address.clone()).into());
            }
            (address.employee.clone(), records)
        }
        Whom::Certificate(serial) => {
            let record = session
                .store
                .record(serial)?
                .ok_or(NotFound::Certificate(*serial))?;
            (record.address.employee.clone(), vec![record])
        }
    };
    let keys: Vec<_> = records
        .iter()
        .map(|record| (record.address.clone(), record.spki_sha256))
        .collect();
    let ends = ids(&invites);
    // The certificate of a bundle that nobody has fetched yet goes with its invite.
    let ended = ended(&session.store, &ends)?;
    let mut revoked = take_back(session, employee, records, reason, ended)?;
    discard(&session.desk.home, &ends);
    revoked.invites = invites;
    if reason.gives_up_device_key() {
        let now = session.clock.earliest();
        for (address, key) in keys {
            let others = session.store.device(&address)?;
            let same = others
                .iter()
                .filter(|other| other.spki_sha256 == key && other.status(now).accepted());
            revoked.same_key.extend(same.map(|other| other.serial));
        }
    }
    Ok(revoked)
}

/// The invites that end with what is revoked: whoever has the sheet of a device that is taken back must not
/// bring it in again.
///
/// # Errors
/// A damaged index.
pub fn invites_of(store: &Store, whom: &Whom, now: Time) -> Result<Vec<Invite>, CaError> {
    let address = match whom {
        Whom::Device(address) => Some(address.clone()),
        Whom::Certificate(serial) => store.record(serial)?.map(|record| record.address),
    };
    match address {
        Some(address) => open_of_device(store, &address, now),
        None => Ok(Vec::new()),
    }
}

/// The revocations of a certificate or a device that this reason raises. Of a device only the last ones
/// count, which were made together: what was revoked before may have been another phone of that name.
///
/// # Errors
/// A damaged index.
pub fn to_raise(store: &Store, whom: &Whom, reason: Reason) -> Result<Vec<Revocation>, CaError> {
    let mut revocations: Vec<Revocation> = match whom {
        Whom::Certificate(serial) => store.revocation(serial)?.into_iter().collect(),
        Whom::Device(address) => store
            .device(address)?
            .iter()
            .filter_map(Record::revocation)
            .collect(),
    };
    let last = revocations.iter().map(|revocation| revocation.at).max();
    revocations.retain(|revocation| {
        Some(revocation.at) == last && reason.raises(revocation.reason, Authority::Issuing)
    });
    Ok(revocations)
}

/// Revokes for a reason that says more what was revoked already, so that its key is given up. The time of the
/// revocation stays.
///
/// # Errors
/// Where it cannot be recorded.
pub fn raise(session: &mut Session<'_>, whom: &Whom, reason: Reason) -> Result<Vec<Serial>, CaError> {
    let mut facts = Vec::new();
    let mut raised = Vec::new();
    for Revocation { serial, at, .. } in to_raise(&session.store, whom, reason)? {
        raised.push(serial);
        facts.push(Fact::Revoked {
            serial,
            address: session.store.record(&serial)?.map(|record| record.address),
            reason,
            since: Some(at),
        });
    }
    session.commit(facts)?;
    Ok(raised)
}

/// Revokes a certificate of which the ledger knows nothing, because a home from an older backup has lost it.
/// It stays on the CRL for good: nobody here knows its expiry.
///
/// # Errors
/// Where it cannot be recorded.
pub fn revoke_unrecorded(
    session: &mut Session<'_>,
    serial: Serial,
    reason: Reason,
) -> Result<Revoked, CaError> {
    if session.store.record(&serial)?.is_some() {
        return revoke(session, &Whom::Certificate(serial), reason);
    }
    let already = session.store.revocation(&serial)?.map(|revocation| revocation.at);
    let certificates = if already.is_some() {
        Vec::new()
    } else {
        vec![serial]
    };
    session.commit(
        certificates
            .iter()
            .map(|serial| Fact::Revoked {
                serial: *serial,
                address: None,
                reason,
                since: None,
            })
            .collect(),
    )?;
    Ok(Revoked {
        certificates,
        already,
        employee: None,
        devices_left: 0,
        same_key: Vec::new(),
        invites: Vec::new(),
    })
}

/// Revokes all certificates of one employee, cancels her invites, and blocks the issuance of new ones to her
/// from now on.
///
/// # Errors
/// Where there is no such person, or it cannot be recorded.
pub fn offboard(session: &mut Session<'_>, employee: &Employee) -> Result<Revoked, CaError> {
    let records = session.store.employee(employee)?;
    let since = session.store.offboarded(employee)?;
    // By the later of the two clocks an invite may have ended; it is cancelled all the same.
    let invites = open_of_employee(&session.store, employee, session.clock.earliest())?;
    if records.is_empty() && since.is_none() && invites.is_empty() {
        return Err(NotFound::Employee(employee.clone()).into());
    }
    let mut facts = match since {
        Some(_) => Vec::new(),
        None => vec![Fact::Offboarded {
            employee: employee.clone(),
        }],
    };
    let ends = ids(&invites);
    facts.extend(ended(&session.store, &ends)?);
    let mut revoked = take_back(session, employee.clone(), records, Reason::Left, facts)?;
    discard(&session.desk.home, &ends);
    revoked.invites = invites;
    revoked.already = since.filter(|_| revoked.certificates.is_empty());
    Ok(revoked)
}

fn take_back(
    session: &mut Session<'_>,
    employee: Employee,
    records: Vec<Record>,
    reason: Reason,
    mut facts: Vec<Fact>,
) -> Result<Revoked, CaError> {
    let already = records
        .iter()
        .filter_map(|record| record.revocation().map(|r| r.at))
        .max();
    let accepted = to_take_back(records, session.clock.earliest());
    // For the reason that was given, and once.
    let is_among = |fact: &Fact| {
        let mut accepted = accepted.iter();
        accepted.any(|record| matches!(fact, Fact::Revoked { serial, .. } if *serial == record.serial))
    };
    facts.retain(|fact| !is_among(fact));
    facts.extend(accepted.iter().map(|record| Fact::Revoked {
        serial: record.serial,
        address: Some(record.address.clone()),
        reason,
        since: None,
    }));
    session.commit(facts)?;
    let devices_left = devices_left(session, &employee)?;
    Ok(Revoked {
        already: already.filter(|_| accepted.is_empty()),
        certificates: accepted.iter().map(|record| record.serial).collect(),
        employee: Some(employee),
        devices_left,
        same_key: Vec::new(),
        invites: Vec::new(),
    })
}

/// The certificates that a revocation of these records revokes: of each device those that servers accept.
/// Where they accept none because all have expired by this clock, and the last one is not revoked, all of the
/// device's: the clock may be wrong, and revoking an expired certificate harms nobody.
pub fn to_take_back(records: Vec<Record>, now: Time) -> Vec<Record> {
    let mut devices: BTreeMap<Address, Vec<Record>> = BTreeMap::new();
    for record in records {
        devices.entry(record.address.clone()).or_default().push(record);
    }
    let of_device = |mut records: Vec<Record>| {
        records.sort_by_key(|record| record.seq);
        let accepts = records.iter().any(|record| record.status(now).accepted());
        let ended = !accepts && records.last().is_some_and(|last| last.revocation().is_none());
        records.retain(|record| record.status(now).accepted() || (ended && record.revocation().is_none()));
        records
    };
    devices.into_values().flat_map(of_device).collect()
}

fn devices_left(session: &Session<'_>, employee: &Employee) -> Result<usize, CaError> {
    let records = session.store.employee(employee)?;
    let mut devices: Vec<_> = records
        .iter()
        .filter(|record| {
            matches!(
                record.status(session.clock.earliest()),
                Status::Valid | Status::Superseded
            )
        })
        .map(|record| &record.address.device)
        .collect();
    devices.sort_unstable();
    devices.dedup();
    Ok(devices.len())
}
