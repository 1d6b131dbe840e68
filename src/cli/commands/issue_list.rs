//! The work that a list of people of `pki issue --from` asks for: its rows, held against the ledger.

use std::collections::BTreeMap;
use std::path::Path;

use crate::ca::{self, Asked, CaError, Intent, IssuanceError, KeyRequest, Leavers, Old, Person, Request};
use crate::home::Home;
use crate::model::{Address, Form, Platform, Profile, Record, Status, Time};
use crate::store::Store;

use super::forecast::{Forecast, Origin};
use super::issue_many::{Differing, Work};
use super::renewal::{Changes, like};
use crate::cli::context::{Context, system_clock};
use crate::cli::error::Failure;
use crate::cli::people;

/// What the command line says for every row that does not say it itself.
pub struct Defaults {
    /// The profile; none for that of pki.toml.
    pub profile: Option<String>,
    /// The life in days.
    pub days: Option<i64>,
    /// What the devices run.
    pub platform: Option<Platform>,
    /// The form of the bundles; none for that of the platform.
    pub p12: Option<Form>,
    /// Whether who has something otherwise in the list is renewed.
    pub is_update: bool,
}

/// Reads the list at `path`, and returns the work that it asks for.
///
/// # Errors
/// Where it cannot be read, or one of its rows is no device. Nothing is done then.
pub fn work(
    defaults: &Defaults,
    path: &Path,
    home: &Home,
    leavers: Leavers,
    context: &Context,
) -> Result<Work, Failure> {
    let people = people::read(path, home, "nothing was issued")?;
    let store = context.read(home)?;
    let mut rows = Rows {
        defaults,
        home,
        store: &store,
        profile: home.profile(
            defaults
                .profile
                .as_deref()
                .unwrap_or(&home.config().default_profile),
        )?,
        leavers,
        now: system_clock().max(store.last_time()),
        work: Work {
            requests: Vec::with_capacity(people.len()),
            origin: Origin::List(people.iter().map(|person| person.line).collect()),
            forecast: Forecast::default(),
            differing: Vec::new(),
            remembered: BTreeMap::new(),
        },
        new: Vec::new(),
    };
    for person in people {
        rows.add(person)?;
    }
    people::warn_of_slips(&rows.new, &store, context)?;
    let Rows { mut work, now, .. } = rows;
    for (request, intent) in &work.requests {
        work.forecast
            .see(request, *intent, &work.origin, home, &store, now)?;
    }
    Ok(work)
}

/// The rows so far, and what they are held against.
struct Rows<'a> {
    defaults: &'a Defaults,
    home: &'a Home,
    store: &'a Store,
    profile: Profile,
    leavers: Leavers,
    now: Time,
    work: Work,
    /// Devices that the ledger does not know, each with its line.
    new: Vec<(u64, Address)>,
}

impl Rows<'_> {
    fn add(&mut self, person: Person) -> Result<(), Failure> {
        let Person {
            line,
            address,
            name,
            email,
            platform,
            days,
        } = person;
        let days = days.or(self.defaults.days);
        let asked = Asked {
            address: address.clone(),
            name,
            email,
            platform: platform.or(self.defaults.platform),
        };
        let history = self.store.device(&address)?;
        let valid = history
            .iter()
            .rfind(|record| record.status(self.now) == Status::Valid);
        if let Some(valid) = valid
            && let Some(request) = self.renewal(&asked, days, valid)?
        {
            let serial = ca::in_use(&history).unwrap_or(valid).serial;
            self.work
                .requests
                .push((request, Intent::RenewalOf(serial, Old::Kept)));
            return Ok(());
        }
        if history.is_empty() {
            self.new.push((line, address.clone()));
        }
        let (holder, remembered) = ca::holder(self.store, asked)?;
        if valid.is_none() && !remembered.is_empty() {
            self.work.remembered.insert(address, remembered);
        }
        let request = Request {
            key: KeyRequest::Bundle(self.defaults.p12.unwrap_or(holder.platform.form())),
            holder,
            days,
            profile: self.profile.clone(),
        };
        let intent = Intent::List(self.let_in(&request)?);
        self.work.requests.push((request, intent));
        Ok(())
    }

    /// Whether a locked-out device is let in again: only where it is locked out now, and not by what somebody
    /// does while a passphrase is typed.
    fn let_in(&self, request: &Request) -> Result<Leavers, Failure> {
        if self.leavers == Leavers::LockedOut {
            return Ok(Leavers::LockedOut);
        }
        let locked_out = Intent::List(Leavers::LockedOut);
        match ca::plan(self.store, self.home, request, locked_out, self.now) {
            Err(CaError::Issuance(IssuanceError::AlreadyValid { .. })) => Ok(Leavers::LockedOut),
            Err(CaError::Issuance(_)) => Ok(Leavers::Reissue),
            Err(error @ (CaError::Store(_) | CaError::Home(_))) => Err(error.into()),
            // What policy refuses is told with all others.
            Ok(_) | Err(_) => Ok(Leavers::LockedOut),
        }
    }

    /// What a device with a valid certificate gets where the row has something otherwise and `--update` is
    /// given; what it does not get is told later.
    fn renewal(
        &mut self,
        asked: &Asked,
        days: Option<i64>,
        valid: &Record,
    ) -> Result<Option<Request>, Failure> {
        let differences = match self.store.issued(valid)? {
            Some(issued) => ca::differences(&issued, asked),
            None => Vec::new(),
        };
        if differences.is_empty() {
            return Ok(None);
        }
        let changes = Changes {
            name: asked.name.clone(),
            email: asked.email.clone(),
            platform: asked.platform,
            days,
            p12: self.defaults.p12,
        };
        let request = like(&changes, self.store, self.home, valid)?.request;
        // A device that made its own key must ask for its certificate itself.
        if self.defaults.is_update && matches!(request.key, KeyRequest::Bundle(_)) {
            return Ok(Some(request));
        }
        self.work.differing.push(Differing {
            address: asked.address.clone(),
            differences,
        });
        Ok(None)
    }
}
