//! Decides about a request for a certificate, by the ledger, the profile and the time. The result is a plan
//! or a refusal, and nothing is changed yet.

use super::remembered::demand_own_name;
use crate::ca::enrollment::handout::{ended, waits};
use crate::ca::enrollment::{ids, open_of_device};
use crate::ca::key_owner::{KeyOf, demand_free_key};
use crate::ca::publishing::doubt::Doubts;
use crate::ca::{CaError, IssuanceError, NotFound};
use crate::home::Home;
use crate::key::PublicKey;
use crate::model::draft::Holder;
use crate::model::invite::{EnrolledBy, Invite};
use crate::model::profile::Names;
use crate::model::{
    Address, Draft, Employee, Form, InviteId, KnownBy, Pin, Profile, Reason, Record, Serial, Status, Time,
};
use crate::model::{Fact, State};
use crate::store::Store;

/// A request for a certificate.
#[derive(Debug, Clone)]
pub struct Request {
    /// The person and the device that it is for.
    pub holder: Holder,
    /// The life in days; none for the profile's default.
    pub days: Option<i64>,
    /// The profile that bounds it.
    pub profile: Profile,
    /// The key that is to be certified.
    pub key: KeyRequest,
}

/// The key for which a certificate is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRequest {
    /// A new key, to be delivered in a bundle of this form.
    Bundle(Form),
    /// A key that the device made itself and proved to hold.
    Own(PublicKey),
    /// A new key, which nobody but the program itself will ever have.
    InMemory,
}

/// The purpose that a request is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// One device, named by the operator.
    Single(Leavers),
    /// A list that may be processed every night: a device that was locked out stays locked out.
    List(Leavers),
    /// A newer certificate for a device that has one, named by the operator.
    Renewal(Old),
    /// A newer certificate for one of many devices, in the place of this one: it was [`in_use`] when they
    /// were chosen, without the lock. A device that another has renewed meanwhile is not renewed twice.
    RenewalOf(Serial, Old),
    /// A device that an operator has invited.
    Invited(Replaces),
}

/// Whether an invite is for a device that has a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaces {
    /// The device has none.
    Nothing,
    /// `--replace`: the one that it has is revoked.
    Any,
}

/// The policy for an employee who was offboarded, or a listed device whose certificate was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leavers {
    /// They stay locked out.
    LockedOut,
    /// `--reissue`: they come back.
    Reissue,
}

/// The fate of the certificate that a renewal replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Old {
    /// It stays valid until it expires.
    Kept,
    /// It is revoked as soon as the new one is delivered.
    Revoked,
}

/// The plan for one certificate.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(in crate::ca) draft: Draft,
    pub(in crate::ca) key: KeyRequest,
    pub(in crate::ca) lost: Vec<Record>,
    pub(in crate::ca) supersedes: Vec<Serial>,
    pub(in crate::ca) reinstates: Option<Employee>,
    /// The certificates that are revoked once it is delivered, those that an earlier renewal superseded
    /// included.
    pub(in crate::ca) retires: Vec<Serial>,
    /// How the device comes to it, where no operator issues it.
    pub(in crate::ca) enrolled_by: Option<EnrolledBy>,
    /// The invite by which the service hands its bundle out, where it does. The certificate is named in it
    /// once that is signed.
    pub(in crate::ca) handed_out: Option<Box<Invite>>,
    /// The device's invites that are cancelled with it.
    pub(in crate::ca) cancels: Vec<Invite>,
    /// The events by which invites end.
    pub(in crate::ca) ends: Vec<Fact>,
}

impl Plan {
    /// A certificate that `check` shows to a server: it replaces nothing, and its key stays in memory.
    pub(super) fn canary(draft: Draft) -> Self {
        Self {
            draft,
            key: KeyRequest::InMemory,
            lost: Vec::new(),
            supersedes: Vec::new(),
            reinstates: None,
            retires: Vec::new(),
            enrolled_by: None,
            handed_out: None,
            cancels: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// The draft of the certificate.
    pub fn draft(&self) -> &Draft {
        &self.draft
    }

    /// The address of the device.
    pub fn address(&self) -> &Address {
        &self.draft.holder().address
    }

    /// The form of its bundle, where there will be one.
    pub fn form(&self) -> Option<Form> {
        match &self.key {
            KeyRequest::Bundle(form) => Some(*form),
            KeyRequest::Own(_) | KeyRequest::InMemory => None,
        }
    }

    /// The certificates that were recorded and never delivered, and are revoked with this.
    pub fn lost(&self) -> &[Record] {
        &self.lost
    }

    /// The certificates that are revoked once the new one is delivered.
    pub fn retires(&self) -> &[Serial] {
        &self.retires
    }

    /// The certificates that it will replace.
    pub fn supersedes(&self) -> &[Serial] {
        &self.supersedes
    }

    /// The invite by which its bundle is handed out.
    pub(in crate::ca) fn handed_out(&self) -> Option<InviteId> {
        self.handed_out.as_ref().map(|invite| invite.id)
    }

    /// The device's invites that are cancelled with it. A sheet of `--replace` that lies about must not take
    /// away what its owner has been given since.
    pub fn cancels(&self) -> &[Invite] {
        &self.cancels
    }

    /// The events that are recorded before the certificate itself, in the same batch.
    pub(in crate::ca) fn facts(&self) -> Vec<Fact> {
        let lost = self.lost.iter().map(|record| Fact::Revoked {
            serial: record.serial,
            address: Some(record.address.clone()),
            reason: Reason::Replaced,
            since: None,
        });
        let back = self.reinstates.iter().map(|employee| Fact::Reinstated {
            employee: employee.clone(),
        });
        let ends = self.ends.iter().cloned();
        lost.chain(back).chain(self.replaced()).chain(ends).collect()
    }

    /// The revocations of what a device had that enrolls itself. It has the new certificate as soon as that
    /// is recorded: it can ask for it again.
    fn replaced(&self) -> impl Iterator<Item = Fact> {
        let retires = self.enrolled_by.iter().flat_map(|_| &self.retires);
        retires.map(|serial| Fact::Revoked {
            serial: *serial,
            address: Some(self.address().clone()),
            reason: Reason::Replaced,
            since: None,
        })
    }
}

/// Decides what to do about a request at `now`.
///
/// # Errors
/// Where policy or the device's history refuses it.
pub fn plan(
    store: &Store,
    home: &Home,
    request: &Request,
    intent: Intent,
    now: Time,
) -> Result<Plan, CaError> {
    let address = &request.holder.address;
    if address.is_reserved() {
        return Err(IssuanceError::Reserved(address.clone()).into());
    }
    let history = store.device(address)?;
    let with = |status: Status| history.iter().filter(move |record| record.status(now) == status);
    let reinstates = reinstates(store, address, intent)?;
    demand_no_leaver(home, &address.employee, intent)?;
    match intent {
        Intent::Invited(Replaces::Any) => {}
        Intent::Single(_) | Intent::List(_) | Intent::Invited(Replaces::Nothing) => {
            // One that was recovered from a list cannot be renewed: what a device shall have in its place is
            // issued.
            let stands = |record: &&Record| match intent {
                Intent::List(_) | Intent::Invited(_) => true,
                Intent::Single(_) | Intent::Renewal(_) | Intent::RenewalOf(..) => is_issued_here(record),
            };
            if let Some(valid) = with(Status::Valid).rfind(stands) {
                return Err(IssuanceError::AlreadyValid {
                    address: address.clone(),
                    serial: valid.serial,
                    until: valid.validity.not_after,
                }
                .into());
            }
            if let (Intent::List(Leavers::LockedOut), Some(at)) =
                (intent, history.last().and_then(revoked_at))
            {
                return Err(IssuanceError::LockedOut {
                    address: address.clone(),
                    since: at,
                }
                .into());
            }
        }
        Intent::Renewal(_) | Intent::RenewalOf(..) => match history.last() {
            None => return Err(NotFound::Device(address.clone()).into()),
            Some(last) if revoked_at(last).is_some() && with(Status::Valid).next().is_none() => {
                return Err(IssuanceError::NothingToRenew(address.clone()).into());
            }
            Some(_) if !history.iter().any(is_issued_here) => {
                return Err(IssuanceError::NotIssuedHere(address.clone()).into());
            }
            Some(_) => {}
        },
    }
    if let Intent::RenewalOf(serial, _) = intent {
        demand_in_use(&history, address, serial)?;
    }
    if let KeyRequest::Own(public_key) = &request.key {
        let pin = Pin(public_key.spki_sha256());
        demand_free_key(store, home, pin, KeyOf::Device(address))?;
    }
    if home.config().names == Names::Shown {
        demand_own_name(store, &request.holder)?;
    }
    let draft = request.profile.draft(
        request.holder.clone(),
        request.days,
        home.config().names,
        home.chain().issuer(),
        now,
    )?;
    // A bundle that waits for its device is not lost: it goes when it is fetched, or with its invite, which a
    // new invite cancels.
    let is_invited = matches!(intent, Intent::Invited(_));
    let mut lost = Vec::new();
    for record in with(Status::Undelivered) {
        if is_invited || !waits(store, record, now)? {
            lost.push(record.clone());
        }
    }
    let mut open = match intent {
        Intent::Single(_) | Intent::List(_) => open_of_device(store, address, now)?,
        Intent::Renewal(_) | Intent::RenewalOf(..) | Intent::Invited(_) => Vec::new(),
    };
    // The others bring nothing while this certificate is good.
    open.retain(|invite| invite.replace);
    Ok(Plan {
        draft,
        key: request.key.clone(),
        ends: ended(store, &ids(&open))?,
        cancels: open,
        lost,
        supersedes: with(Status::Valid).map(|record| record.serial).collect(),
        reinstates,
        retires: match intent {
            Intent::Renewal(Old::Revoked)
            | Intent::RenewalOf(_, Old::Revoked)
            | Intent::Invited(Replaces::Any) => with(Status::Superseded)
                .chain(with(Status::Valid))
                .map(|record| record.serial)
                .collect(),
            Intent::Renewal(Old::Kept)
            | Intent::RenewalOf(_, Old::Kept)
            | Intent::Single(_)
            | Intent::List(_)
            | Intent::Invited(Replaces::Nothing) => Vec::new(),
        },
        enrolled_by: None,
        handed_out: None,
    })
}

/// The certificate that a device has: the newest one that was delivered, and neither superseded nor revoked.
/// It may have expired.
pub fn in_use(history: &[Record]) -> Option<&Record> {
    history.iter().rfind(|record| record.state == State::Active)
}

/// Makes sure that this certificate is still the one that the device has.
fn demand_in_use(history: &[Record], address: &Address, serial: Serial) -> Result<(), IssuanceError> {
    match in_use(history) {
        Some(same) if same.serial == serial => Ok(()),
        Some(other) => Err(IssuanceError::AlreadyValid {
            address: address.clone(),
            serial: other.serial,
            until: other.validity.not_after,
        }),
        None => Err(IssuanceError::NothingToRenew(address.clone())),
    }
}

/// An employee of whom a CRL says that she left, and the ledger not that she is offboarded: nothing is issued
/// to her unless she comes back.
fn demand_no_leaver(home: &Home, employee: &Employee, intent: Intent) -> Result<(), IssuanceError> {
    match intent {
        Intent::Single(Leavers::Reissue) | Intent::List(Leavers::Reissue) => Ok(()),
        Intent::Single(Leavers::LockedOut)
        | Intent::List(Leavers::LockedOut)
        | Intent::Renewal(_)
        | Intent::RenewalOf(..)
        | Intent::Invited(_) => {
            if Doubts::by(home).leavers().any(|leaver| leaver == employee) {
                return Err(IssuanceError::Leaver(employee.clone()));
            }
            Ok(())
        }
    }
}

/// The employee, where she was offboarded and shall come back.
fn reinstates(store: &Store, address: &Address, intent: Intent) -> Result<Option<Employee>, CaError> {
    let employee = &address.employee;
    let Some(since) = store.offboarded(employee)? else {
        return Ok(None);
    };
    match intent {
        Intent::Single(Leavers::Reissue) | Intent::List(Leavers::Reissue) => Ok(Some(employee.clone())),
        Intent::Single(Leavers::LockedOut)
        | Intent::List(Leavers::LockedOut)
        | Intent::Renewal(_)
        | Intent::RenewalOf(..)
        | Intent::Invited(_) => Err(IssuanceError::Offboarded {
            employee: employee.clone(),
            since,
        }
        .into()),
    }
}

/// Whether the ledger has all of it, and not what a list says alone.
fn is_issued_here(record: &Record) -> bool {
    record.known_by == KnownBy::Issuance
}

fn revoked_at(record: &Record) -> Option<Time> {
    match record.state {
        State::Revoked { at, .. } => Some(at),
        State::Undelivered | State::Active | State::Superseded => None,
    }
}
