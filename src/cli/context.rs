//! The context that every verb needs: the operator, the home, the clock.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::time::Duration;

use super::account::account;
use super::error::Failure;
use super::named::Addressee;
pub use super::now::system_clock;
use super::tips;
use super::ui::Ui;
use crate::ca::{self, CaError, ClockPolicy, Desk, Following, NotFound, Session, SessionError};
use crate::disk::has_tilde;
use crate::home::Home;
use crate::model::time::InvalidSpan;
use crate::model::{Address, Authority, Clock, Employee, Serial, Span, Time, counted};
use crate::store::{Notice, Store};

/// The context that every verb needs.
pub struct Context {
    /// The operator.
    pub ui: Ui,
    /// The path of the home, where `--home` gives it.
    pub home: Option<PathBuf>,
    /// The time to wait for the lock.
    pub wait: Duration,
    /// The first two words after `pki` on the command line, at most 80 characters. Other processes show them
    /// while this one holds the lock; hints quote them.
    pub command: String,
    /// Whether the expiry of the CRL was checked already, for a warning.
    pub crl_told: Cell<bool>,
    /// Whether this is `pki publish` without `--dry-run`: warnings about the CRL do not advise to run it
    /// then.
    pub is_publishing: Cell<bool>,
    /// Whether the operator was told that the clock is in doubt.
    pub clock_told: Cell<bool>,
    /// The commands of pki.toml that are to follow what was published.
    pub following: RefCell<Vec<Following>>,
}

/// Parses the period within which certificates expire that are looked for. A month has no letter, and `1m` is
/// a minute.
pub fn ahead(text: &str) -> Result<Span, String> {
    if text.ends_with('m') || text.ends_with('s') {
        return Err("certificates end on days: write 30d for a month (m would be minutes)".into());
    }
    text.parse().map_err(|why: InvalidSpan| why.to_string())
}

/// The devices that an [`Addressee`] may mean.
#[derive(Debug)]
pub enum Sought {
    /// This device and no other.
    One(Address),
    /// All devices of an employee that are in use.
    Several(Employee, Vec<Address>),
}

/// The earliest that the current time may be, by this machine's clock and the last event: a certificate that
/// is valid then may still be accepted.
///
/// # Errors
/// A damaged index.
pub fn earliest(store: &Store) -> Result<Time, Failure> {
    Ok(store.judge(system_clock())?.earliest())
}

/// The path that a variable of the environment holds, if any.
///
/// # Errors
/// Where it begins with a tilde that no shell has replaced.
pub fn path_variable(name: &str) -> Result<Option<PathBuf>, Failure> {
    let path = std::env::var_os(name).filter(|path| !path.is_empty());
    match path.map(PathBuf::from) {
        Some(path) if has_tilde(&path) => {
            Err(Failure::refused(format!("{name} is {}", path.display())).hint(WHOLE_PATH))
        }
        path => Ok(path),
    }
}

/// The advice on a tilde that no shell has replaced.
pub const WHOLE_PATH: &str = "write the whole path: a shell puts your home directory in place of ~ only at the beginning of a word, and outside of quotes";

/// The path of the home: the one that --home names, PKI_HOME, or the platform's data directory.
///
/// # Errors
/// Where none of them is known, or the variable holds what only a shell understands.
pub fn home_path(named: Option<&PathBuf>) -> Result<PathBuf, Failure> {
    // An account without a home directory may have it empty, or as `/nonexistent`; a relative one is another
    // place in each directory.
    let account = std::env::var_os("HOME").map(PathBuf::from);
    let account = account.filter(|home| home.is_absolute());
    let from_home = |rest: &str| account.as_ref().map(|home| home.join(rest));
    let data = if cfg!(target_os = "macos") {
        from_home("Library/Application Support")
    } else {
        std::env::var_os("XDG_DATA_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| from_home(".local/share"))
    };
    // Not by clap, which would show --home in every usage line once the variable is set.
    let variable = match named {
        Some(_) => None,
        None => path_variable("PKI_HOME")?,
    };
    named
        .cloned()
        .or(variable)
        .or_else(|| data.map(|data| data.join("pki")))
        .ok_or_else(|| {
            Failure::refused("it is not known where the PKI is").hint("name it with --home DIR or PKI_HOME")
        })
}

impl Context {
    /// The same for another thread, which asks nothing.
    pub fn apart(&self) -> Self {
        Self {
            ui: self.ui.apart(),
            home: self.home.clone(),
            wait: self.wait,
            command: self.command.clone(),
            crl_told: Cell::new(false),
            is_publishing: Cell::new(true),
            clock_told: Cell::new(false),
            following: RefCell::default(),
        }
    }

    /// The path of the home.
    ///
    /// # Errors
    /// As for the function [`home_path`].
    pub fn home_path(&self) -> Result<PathBuf, Failure> {
        home_path(self.home.as_ref())
    }

    /// Opens the home.
    ///
    /// # Errors
    /// Where it is none, or cannot be used.
    pub fn open(&self) -> Result<Home, Failure> {
        Ok(Home::open(&self.home_path()?)?)
    }

    /// Opens the home for what goes by the ledger alone, whatever pki.toml says.
    ///
    /// # Errors
    /// Where it is none, or cannot be used.
    pub fn open_despite_config(&self) -> Result<Home, Failure> {
        Ok(Home::open_despite_config(&self.home_path()?)?)
    }

    /// Opens the home as a desk: an operator at work on it.
    ///
    /// # Errors
    /// Where the home cannot be used.
    pub fn desk(&self) -> Result<Desk, Failure> {
        Ok(self.desk_of(self.open()?))
    }

    /// Opens the home as a desk for locking somebody out. That must not wait until pki.toml is mended: where
    /// it is not valid, [`Home::unread`] gives the error.
    ///
    /// # Errors
    /// Where the home cannot be used.
    pub fn desk_to_revoke(&self) -> Result<Desk, Failure> {
        Ok(self.desk_of(self.open_despite_config()?))
    }

    /// A desk for this home: an operator at work on it.
    pub fn desk_of(&self, home: Home) -> Desk {
        Desk {
            home,
            by: account(),
            holder: format!("pki {}", self.command),
            patience: self.wait,
            clock: system_clock,
            goes_on_here: false,
            reconciles: false,
        }
    }

    /// Begins a change. A clock that is far ahead of the last event is a question, which `--yes` answers; it
    /// is asked once.
    ///
    /// # Errors
    /// A busy home, a damaged ledger, or a clock that policy refuses.
    pub fn session<'a>(&self, desk: &'a Desk, policy: &mut ClockPolicy) -> Result<Session<'a>, Failure> {
        let session = match desk.session(*policy) {
            Err(CaError::Session(SessionError::ClockAhead { clock, last }))
                if self.ui.yes || self.ui.can_ask() =>
            {
                self.ui.confirm(&format!(
                    "The clock says {clock}, and nothing has happened here since {last}. Is the clock right?"
                ))?;
                *policy = ClockPolicy::Confirmed;
                desk.session(*policy)?
            }
            session => session?,
        };
        let doubt = match session.clock {
            Clock::Good(_) => None,
            Clock::Behind { clock, last } => Some((clock, format!("before the last event at {last}"))),
            Clock::FarAhead { clock, last } => {
                Some((clock, format!("and nothing has happened here since {last}")))
            }
        };
        if let Some((clock, doubt)) = doubt
            && !self.clock_told.replace(true)
        {
            self.ui.warn(format!(
                "the clock says {clock}, {doubt}: that time is used instead"
            ));
            self.ui
                .hint("set the clock; if it is right, run `pki publish --confirm CLOCK` now");
        }
        self.tell(&session.store);
        self.warn_of_crl(&session.store, session.now)?;
        Ok(session)
    }

    /// Opens the ledger for reading.
    ///
    /// # Errors
    /// Where it is damaged.
    pub fn read(&self, home: &Home) -> Result<Store, Failure> {
        let store = home.read()?;
        self.tell_reader(&store)?;
        Ok(store)
    }

    /// Prints the notices for a command that only reads: what opening the store did on the way, and a warning
    /// where the CRL expires soon.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn tell_reader(&self, store: &Store) -> Result<(), Failure> {
        self.tell(store);
        self.warn_of_crl(store, system_clock())
    }

    /// Prints the notices of opening the store.
    pub fn tell(&self, store: &Store) {
        for notice in store.notices() {
            match notice {
                Notice::TornTail(path) => self.ui.warn(format!(
                    "the end of the ledger was cut off while it was written; what was never acknowledged is in {}",
                    path.display()
                )),
                Notice::Rebuilt(why) => self.ui.say(format!("the index was made anew from the ledger ({why})")),
                Notice::CaughtUp(count) => self.ui.detail(format!("the index took in {}", counted(count, "event"))),
                Notice::IndexNotUsed(why) => {
                    self.ui.detail(format!("the ledger was read without its index ({why})"));
                }
            }
        }
    }

    /// Warns once where the issuing CA's CRL has under a third of its life left.
    fn warn_of_crl(&self, store: &Store, now: Time) -> Result<(), Failure> {
        let Some(crl) = store.last_crl(Authority::Issuing).map_err(Failure::from)? else {
            return Ok(());
        };
        if self.crl_told.replace(true) {
            return Ok(());
        }
        let life = (crl.next_update - crl.this_update).as_seconds();
        let left = crl.next_update - now;
        if left < Span::seconds(0) {
            let end = crl.next_update;
            self.ui.warn(match self.is_publishing.get() {
                true => format!("the CRL ended on {end}: servers let nobody in until they have the next one"),
                false => format!("the CRL ended on {end}: servers let nobody in"),
            });
            let timer =
                "have a timer run it every six hours: `pki config systemd` or `pki config cron` prints it";
            self.ui.hint(match self.is_publishing.get() {
                true => timer.to_owned(),
                false => format!("run `pki publish` now, and {timer}"),
            });
        } else if left.as_seconds() * 3 < life {
            self.ui.warn(match self.is_publishing.get() {
                true => format!("the CRL would have ended in {left}"),
                false => format!("the CRL ends in {left}; then servers let nobody in"),
            });
            self.ui.hint(match self.is_publishing.get() {
                true => "see why its timer does not run",
                false => "run `pki publish`, and see why its timer does not",
            });
        }
        Ok(())
    }

    /// Finds the device that is meant when issuing: `alice` alone is her default device.
    pub fn to_issue(&self, home: &Home, addressee: &Addressee) -> Address {
        match addressee {
            Addressee::Device(address) => address.clone(),
            Addressee::Employee(employee) => {
                Address::new(employee.clone(), home.config().default_device.clone())
            }
        }
    }

    /// Finds the existing device that is meant: `alice` alone is her only active device. Where she has
    /// several, a terminal offers the choice.
    ///
    /// # Errors
    /// Where she has none, or several and there is nobody to ask.
    pub fn existing(&self, home: &Home, addressee: &Addressee) -> Result<Address, Failure> {
        // The store is closed again before anybody is asked: an open index keeps others out.
        let sought = self.sought(&home.read()?, addressee)?;
        self.one_of(sought)
    }

    /// Finds the devices that `addressee` may mean. A device must be in the ledger, active or not. An
    /// employee stands for her active devices; where none is active, for her only device.
    ///
    /// # Errors
    /// Where the ledger knows no such device or employee, the employee has several devices and none is
    /// active, or the ledger cannot be read.
    pub fn sought(&self, store: &Store, addressee: &Addressee) -> Result<Sought, Failure> {
        let employee = match addressee {
            Addressee::Device(address) => {
                return if !store.device(address)?.is_empty() {
                    Ok(Sought::One(address.clone()))
                } else if store.employee(&address.employee)?.is_empty() {
                    Err(self.nobody(store, &address.employee, &address.to_string()))
                } else {
                    Err(no_device(store, address))
                };
            }
            Addressee::Employee(employee) => employee,
        };
        let (records, now) = (store.employee(employee)?, earliest(store)?);
        let mut all: Vec<Address> = records.iter().map(|record| record.address.clone()).collect();
        all.dedup();
        let mut active: Vec<Address> = records
            .iter()
            .filter(|r| r.status(now).accepted())
            .map(|r| r.address.clone())
            .collect();
        active.dedup();
        match (active.as_slice(), all.as_slice()) {
            ([one], _) | ([], [one]) => Ok(Sought::One(one.clone())),
            ([], []) => Err(self.nobody(store, employee, employee.as_str())),
            ([], _) => Err(Failure::refused(format!("{employee} has no active device"))
                .hint(format!("`pki list --employee {employee}` shows what she had"))),
            (_, _) => Ok(Sought::Several(employee.clone(), active)),
        }
    }

    /// The one device that is meant, asked for in a terminal where there are several.
    ///
    /// # Errors
    /// Where there is nobody to ask.
    pub fn one_of(&self, sought: Sought) -> Result<Address, Failure> {
        let (employee, mut several) = match sought {
            Sought::One(address) => return Ok(address),
            Sought::Several(employee, several) => (employee, several),
        };
        let names: Vec<String> = several.iter().map(ToString::to_string).collect();
        if self.ui.can_ask() {
            let choice = self.ui.choose(&format!("Which device of {employee}?"), &names)?;
            return Ok(several.swap_remove(choice));
        }
        Err(Failure::refused(format!(
            "{employee} has several active devices: {}",
            names.join(", ")
        ))
        .hint("name one of them"))
    }

    /// The failure where there is no employee of this name, who was meant by this text.
    pub fn nobody(&self, store: &Store, employee: &Employee, text: &str) -> Failure {
        let failure = Failure::from(NotFound::Employee(employee.clone()));
        if tips::is_file(text) {
            return failure.hint(tips::NOT_A_FILE);
        }
        // What cannot be looked up is no reason to say less of what is not there.
        let near = ca::mistakable_person(store, employee).unwrap_or_default();
        if let Some(question) = meant(&near) {
            return failure.hint(format!("{question} `pki list` shows who and what there is"));
        }
        match text.parse::<Serial>() {
            Err(why) if self.command.ends_with(text) => match why.meant() {
                Some(serial) => {
                    let command = self.command.replace(text, &serial.to_string());
                    failure.hint(format!("{why}: `pki {command}`"))
                }
                None => failure,
            },
            Ok(_) | Err(_) => failure,
        }
    }
}

/// The failure for a device that the ledger does not know, of a person whom it does know.
fn no_device(store: &Store, address: &Address) -> Failure {
    let near = ca::mistakable(store, address).unwrap_or_default();
    let failure = Failure::from(NotFound::Device(address.clone()));
    match meant(&near) {
        Some(question) => failure.hint(format!(
            "{question} `pki list --employee {}` shows her devices",
            address.employee
        )),
        None => failure,
    }
}

/// The question whether one of these similar names was meant; none where there are none.
pub fn meant(near: &[String]) -> Option<String> {
    (!near.is_empty()).then(|| format!("is {} meant?", near.join(" or ")))
}
