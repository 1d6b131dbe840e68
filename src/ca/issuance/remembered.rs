//! Looks up in the ledger what is known of a person and her devices, for a request for a certificate: the
//! values that the request leaves out, the differences to the present certificate, and the existing names
//! that a new name could be mistaken for.

use serde::Serialize;

use crate::ca::{CaError, IssuanceError};
use crate::model::draft::Holder;
use crate::model::event::Issued;
use crate::model::near::near;
use crate::model::{Address, Email, Employee, KnownBy, PersonName, Platform, Reason, Record, State};
use crate::store::Store;

/// What a request says about a device and the person who has it; what it leaves out stays as it was.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The address of the device.
    pub address: Address,
    /// The full name of the person.
    pub name: Option<PersonName>,
    /// Her e-mail address.
    pub email: Option<Email>,
    /// The platform of the device.
    pub platform: Option<Platform>,
}

/// A difference between a certificate and what is asked for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `name`, `email` or `for`.
    pub what: &'static str,
    /// The value that the certificate was issued with; none where it had none.
    pub has: Option<String>,
    /// The value that is asked for now.
    pub asked: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, has, asked } = self;
        match has {
            Some(has) => write!(f, "{what} {asked} (was {has})"),
            None => write!(f, "{what} {asked} (had none)"),
        }
    }
}

/// The holder of a new certificate: what is not said is as it was. Name and e-mail address are the person's,
/// and as in the newest of her certificates that has one; what the device runs is as in its own last one. Of
/// somebody who has left nothing is remembered. With what was remembered, in words.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn holder(store: &Store, asked: Asked) -> Result<(Holder, Vec<String>), CaError> {
    let Asked {
        address,
        mut name,
        mut email,
        mut platform,
    } = asked;
    let mut told = Vec::new();
    let mut records = Vec::new();
    if name.is_none() || email.is_none() || platform.is_none() {
        records = store.employee(&address.employee)?;
    }
    if store.offboarded(&address.employee)?.is_some() {
        records.clear();
    }
    // Who comes after somebody who has left may be another person of the same short name.
    let has_left = |record: &&Record| {
        matches!(
            record.state,
            State::Revoked {
                reason: Reason::Left,
                ..
            }
        )
    };
    let left = records.iter().filter(has_left).map(|record| record.seq).max();
    records.retain(|record| is_issued_here(record) && left.is_none_or(|left| record.seq > left));
    records.sort_by_key(|record| record.seq);
    for record in records.iter().rev() {
        if name.is_some() && email.is_some() {
            break;
        }
        let Some(issued) = store.issued(record)? else {
            continue;
        };
        if let (None, Some(was)) = (&name, issued.name) {
            told.insert(0, format!("name {was}"));
            name = Some(was);
        }
        if let (None, Some(was)) = (&email, issued.email) {
            told.push(format!("e-mail {was}"));
            email = Some(was);
        }
    }
    let of_device = records.iter().rev().find(|record| record.address == address);
    if let (None, Some(record)) = (platform, of_device)
        && let Some(last) = store.issued(record)?
    {
        if last.platform != Platform::default() {
            told.push(format!("for {}", last.platform));
        }
        platform = Some(last.platform);
    }
    let holder = Holder {
        address,
        name,
        email,
        platform: platform.unwrap_or_default(),
    };
    Ok((holder, told))
}

/// The differences between a certificate and what is asked for now.
pub fn differences(issued: &Issued, asked: &Asked) -> Vec<Difference> {
    fn of<T: PartialEq + ToString>(
        what: &'static str,
        has: Option<&T>,
        asked: Option<&T>,
    ) -> Option<Difference> {
        let asked = asked.filter(|asked| has != Some(*asked))?;
        Some(Difference {
            what,
            has: has.map(ToString::to_string),
            asked: asked.to_string(),
        })
    }
    let differences = [
        of("name", issued.name.as_ref(), asked.name.as_ref()),
        of("email", issued.email.as_ref(), asked.email.as_ref()),
        of("for", Some(&issued.platform), asked.platform.as_ref()),
    ];
    differences.into_iter().flatten().collect()
}

/// The employees whom a new person could be mistaken for by one slip of the finger, or the devices of hers
/// that a new device could be; none where there is a certificate of that address already.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn mistakable(store: &Store, address: &Address) -> Result<Vec<String>, CaError> {
    let Address { employee, device } = address;
    let records = store.employee(employee)?;
    if records.is_empty() {
        return mistakable_person(store, employee);
    }
    if records.iter().any(|record| record.address == *address) {
        return Ok(Vec::new());
    }
    let near = near(device.as_str());
    let others = records.into_iter().map(|record| record.address);
    let mut known: Vec<String> = others
        .filter(|other| near.contains(other.device.as_str()))
        .map(|other| other.to_string())
        .collect();
    known.dedup();
    Ok(known)
}

/// The names that a person without certificates could be mistaken for: another person, or a device of another
/// person.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn mistakable_person(store: &Store, employee: &Employee) -> Result<Vec<String>, CaError> {
    let mut known = mistaken_separator(store, employee)?;
    for name in near(employee.as_str()) {
        let Ok(other) = name.parse::<Employee>() else {
            continue;
        };
        if !store.employee(&other)?.is_empty() {
            known.push(other.to_string());
        }
    }
    Ok(known)
}

/// Whose device this could be, written with another sign than the slash: `bob.phone`.
fn mistaken_separator(store: &Store, name: &Employee) -> Result<Vec<String>, CaError> {
    let mut known = Vec::new();
    for (at, _) in name.as_str().match_indices(['.', '-', '_']) {
        let (owner, device) = (&name.as_str()[..at], &name.as_str()[at + 1..]);
        let Ok(owner) = owner.parse::<Employee>() else {
            continue;
        };
        let records = store.employee(&owner)?;
        if records
            .iter()
            .any(|record| record.address.device.as_str() == device)
        {
            known.push(format!("{owner}/{device}"));
        }
    }
    Ok(known)
}

/// Makes sure that nobody is called as another employee goes by: her certificate's CN would be the other's. A
/// name that she has already may stay.
///
/// # Errors
/// Where she would be.
pub(in crate::ca) fn demand_own_name(store: &Store, holder: &Holder) -> Result<(), CaError> {
    let Some(name) = &holder.name else {
        return Ok(());
    };
    // As verifiers compare a CN (caseIgnoreMatch, RFC 4517 §4.2.11).
    let text = name.as_str().to_lowercase();
    let employee = match text.split_once('/') {
        Some((employee, _)) => employee.parse(),
        None => text.parse(),
    };
    let Ok(other) = employee else {
        return Ok(());
    };
    if other == holder.address.employee || store.employee(&other)?.is_empty() {
        return Ok(());
    }
    for record in store
        .device(&holder.address)?
        .iter()
        .rev()
        .filter(|record| is_issued_here(record))
    {
        if store
            .issued(record)?
            .is_some_and(|issued| issued.name.as_ref() == Some(name))
        {
            return Ok(());
        }
    }
    Err(IssuanceError::NameOfAnother {
        address: holder.address.clone(),
        name: name.clone(),
        other,
    }
    .into())
}

fn is_issued_here(record: &Record) -> bool {
    record.known_by == KnownBy::Issuance
}
