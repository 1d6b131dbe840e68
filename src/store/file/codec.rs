//! The encoding of values in the index: fixed widths, the highest octet first, text at the end.

use super::last::LastPublication;
use crate::model::{DeviceKey, KnownBy, Reason, Record, Revocation, Serial, State, Time, Validity};
use crate::store::StoreError;

pub(in crate::store) fn corrupt(what: &str) -> StoreError {
    StoreError::Index(format!("its entry for {what} cannot be read"))
}

pub(in crate::store) fn seconds(time: Time) -> [u8; 8] {
    time.unix().to_be_bytes()
}

pub(in crate::store) fn reason_octet(reason: Reason) -> u8 {
    match reason {
        Reason::Unspecified => 0,
        Reason::Lost => 1,
        Reason::Stolen => 2,
        Reason::Compromised => 3,
        Reason::Left => 4,
        Reason::Replaced => 5,
    }
}

fn reason(octet: u8) -> Option<Reason> {
    Reason::ALL
        .into_iter()
        .find(|reason| reason_octet(*reason) == octet)
}

/// The upper half of the octet whose lower half is the state.
fn known_by_bits(known_by: KnownBy) -> u8 {
    match known_by {
        KnownBy::Issuance => 0x00,
        KnownBy::List { kept: false } => 0x10,
        KnownBy::List { kept: true } => 0x20,
    }
}

fn known_by(octet: u8) -> Option<KnownBy> {
    let all = [
        KnownBy::Issuance,
        KnownBy::List { kept: false },
        KnownBy::List { kept: true },
    ];
    all.into_iter()
        .find(|known_by| known_by_bits(*known_by) == octet & 0xF0)
}

/// A record, and where in the ledger the line of the event begins that brought it.
pub(in crate::store) fn write_record(record: &Record, offset: u64) -> Vec<u8> {
    let (state, at, why) = match record.state {
        State::Undelivered => (0, Time::from_unix(0), 0),
        State::Active => (1, Time::from_unix(0), 0),
        State::Superseded => (2, Time::from_unix(0), 0),
        State::Revoked { at, reason } => (3, at, reason_octet(reason)),
    };
    // What is revoked is listed nowhere with its key: a CRL is made of many of these.
    let key = record.key.as_ref().filter(|_| state != 3);
    [
        &record.seq.to_be_bytes()[..],
        &offset.to_be_bytes(),
        &seconds(record.validity.not_before),
        &seconds(record.validity.not_after),
        &[state | known_by_bits(record.known_by)],
        &seconds(at),
        &[why],
        &record.spki_sha256,
        &record.certificate_sha256,
        &[u8::from(key.is_some())],
        key.map_or(&[][..], |key| &key.0),
        record.address.to_string().as_bytes(),
    ]
    .concat()
}

pub(in crate::store) fn read_record(serial: Serial, value: &[u8]) -> Result<Record, StoreError> {
    let mut fields = Fields(value);
    let mut read = || {
        let (seq, _offset) = (fields.number()?, fields.number()?);
        let validity = Validity {
            not_before: fields.time()?,
            not_after: fields.time()?,
        };
        let (state, at, why) = (fields.octet()?, fields.time()?, fields.octet()?);
        let known_by = known_by(state)?;
        let state = match state & 0x0F {
            0 => State::Undelivered,
            1 => State::Active,
            2 => State::Superseded,
            3 => State::Revoked {
                at,
                reason: reason(why)?,
            },
            _ => return None,
        };
        let (spki_sha256, certificate_sha256) = (fields.array()?, fields.array()?);
        let key = match fields.octet()? {
            0 => None,
            1 if !matches!(state, State::Revoked { .. }) => Some(DeviceKey(fields.array()?)),
            _ => return None,
        };
        let address = std::str::from_utf8(fields.0).ok()?.parse().ok()?;
        Some(Record {
            serial,
            address,
            validity,
            state,
            known_by,
            spki_sha256,
            key,
            certificate_sha256,
            seq,
        })
    };
    read().ok_or_else(|| corrupt("a record"))
}

/// Reads the offset in the ledger of the event that brought a record.
pub(in crate::store) fn read_offset(value: &[u8]) -> Result<u64, StoreError> {
    let mut fields = Fields(value);
    let mut second = || {
        fields.number()?;
        fields.number()
    };
    second().ok_or_else(|| corrupt("a record"))
}

pub(in crate::store) fn write_publication(last: &LastPublication) -> Vec<u8> {
    [
        &last.public.to_be_bytes()[..],
        &last.server.to_be_bytes(),
        // No manifest has this hash.
        &last.server_manifest.unwrap_or_default(),
        last.targets.join("\n").as_bytes(),
    ]
    .concat()
}

/// The last publication. An index of an earlier version has its numbers alone.
pub(in crate::store) fn read_publication(value: &[u8]) -> Option<LastPublication> {
    let mut fields = Fields(value);
    let (public, server) = (fields.number()?, fields.number()?);
    let server_manifest = fields.array().filter(|sha256| *sha256 != [0; 32]);
    let targets = std::str::from_utf8(fields.0).ok()?;
    let targets = targets.split('\n').filter(|target| !target.is_empty());
    Some(LastPublication {
        public,
        server,
        server_manifest,
        targets: targets.map(str::to_owned).collect(),
    })
}

/// A revocation, and the end of its certificate where that is known.
pub(in crate::store) fn read_revocation(
    serial: Serial,
    value: &[u8],
) -> Result<(Revocation, Option<Time>), StoreError> {
    let mut fields = Fields(value);
    let mut read = || {
        let revocation = Revocation {
            serial,
            at: fields.time()?,
            reason: reason(fields.octet()?)?,
        };
        let not_after = fields.time()?;
        Some((revocation, Some(not_after).filter(|end| *end != Time::MAX)))
    };
    read().ok_or_else(|| corrupt("a revocation"))
}

/// Fixed-width fields, taken off one by one.
pub(in crate::store) struct Fields<'a>(pub(in crate::store) &'a [u8]);

impl Fields<'_> {
    pub(in crate::store) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(in crate::store) fn octet(&mut self) -> Option<u8> {
        self.array().map(|[octet]| octet)
    }

    pub(in crate::store) fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(in crate::store) fn time(&mut self) -> Option<Time> {
        self.array().map(i64::from_be_bytes).map(Time::from_unix)
    }
}
