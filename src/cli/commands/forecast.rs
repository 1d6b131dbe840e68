//! A forecast of many requests for certificates, before the first is carried out: each is checked on its own
//! and discarded, and the report has the devices and the counts.

use std::borrow::Borrow;
use std::fmt::{self, Display, Write};

use crate::ca::{self, CaError, Intent, IssuanceError, Request};
use crate::home::Home;
use crate::model::{Address, Form, Time};
use crate::store::Store;

use crate::cli::error::{Exit, Failure};
use crate::cli::invited::would_end;
use crate::cli::listing::Listing;
use crate::cli::ui::Ui;

/// How many refused requests an error names.
const SHOWN: usize = 20;

/// The source of the requests, as an error names it.
pub enum Origin {
    /// The rows of a list, in the lines where they stand, in the order of the requests.
    List(Vec<u64>),
    /// Devices that the ledger names.
    Ledger,
}

impl Origin {
    /// The words for the request of this number, with which an error begins.
    pub fn place(&self, number: usize, request: &Request) -> String {
        let address = &request.holder.address;
        match self {
            Self::List(lines) => match lines.get(number) {
                Some(line) => format!("line {line}: {address}"),
                None => address.to_string(),
            },
            Self::Ledger => address.to_string(),
        }
    }

    /// The words for `count` of them that ask for something.
    pub fn ask(&self, count: usize) -> String {
        let what = match self {
            Self::List(_) => "row",
            Self::Ledger => "device",
        };
        let (plural, ask) = if count == 1 { ("", "asks") } else { ("s", "ask") };
        format!("{count} {what}{plural} {ask}")
    }
}

/// The forecast of many requests.
#[derive(Default)]
pub struct Forecast {
    seen: usize,
    wanted: Lines,
    ends: Lines,
    remarks: Lines,
    first_batch: Vec<Form>,
    already: usize,
    failing: Lines,
    refused: First<SHOWN>,
}

impl Forecast {
    /// Checks one more request against policy and history.
    ///
    /// # Errors
    /// Where the ledger or the home cannot be read.
    pub fn see(
        &mut self,
        request: &Request,
        intent: Intent,
        origin: &Origin,
        home: &Home,
        store: &Store,
        now: Time,
    ) -> Result<(), Failure> {
        let told = |why: &dyn Display| format!("{}: {why}", origin.place(self.seen, request));
        match ca::plan(store, home, request, intent, now) {
            Ok(plan) => {
                let address = &request.holder.address;
                self.wanted.add(address);
                for invite in plan.cancels() {
                    self.ends.add(&would_end(invite));
                }
                for remark in plan.draft().remarks() {
                    self.remarks.add(&format_args!("{address}: {remark}"));
                }
                if self.wanted.count <= ca::BATCH {
                    self.first_batch.extend(plan.form());
                }
            }
            Err(CaError::Issuance(IssuanceError::AlreadyValid { .. })) => self.already += 1,
            Err(CaError::Refused(why)) => self.refused.add(format!("  {}", told(&why))),
            Err(error @ (CaError::Store(_) | CaError::Home(_))) => return Err(error.into()),
            // Who was locked out is told at the end, and is no obstacle to the others.
            Err(why) => self.failing.add(&told(&why)),
        }
        self.seen += 1;
        Ok(())
    }

    /// The number of requests.
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// The number of certificates that will be issued.
    pub fn wanted(&self) -> usize {
        self.wanted.count
    }

    /// The forms of the bundles that will be made first, as far as one batch goes.
    pub fn first_batch(&self) -> &[Form] {
        &self.first_batch
    }

    /// The devices that certificates will be issued to.
    pub fn addresses(&self) -> impl Iterator<Item = impl Borrow<Address>> {
        self.wanted
            .iter()
            .filter_map(|address| address.parse::<Address>().ok())
    }

    /// Makes sure that policy refuses none: else nothing is issued.
    ///
    /// # Errors
    /// Where it does, with the first of them.
    pub fn demand_policy(&self, origin: &Origin) -> Result<(), Failure> {
        let count = self.refused.count;
        if count == 0 {
            return Ok(());
        }
        let more = match count > SHOWN {
            true => format!("\n  and {} more", count - SHOWN),
            false => String::new(),
        };
        Err(Failure::new(
            Exit::Refused,
            "policy",
            format!(
                "nothing was issued; {} for what policy refuses:\n{}{more}",
                origin.ask(count),
                self.refused.first.join("\n")
            ),
        ))
    }

    /// Tells people what would be done.
    pub fn tell(&self, ui: &Ui) {
        ui.say(format!(
            "would issue {}, {} a valid certificate already, {} would fail",
            self.wanted.count,
            match self.already {
                1 => "1 has".to_owned(),
                count => format!("{count} have"),
            },
            self.failing.count
        ));
        self.failing.iter().for_each(|why| ui.more(why));
        self.wanted
            .iter()
            .for_each(|address| ui.more(format!("issue {address}")));
        self.ends.iter().for_each(|end| ui.more(end));
        self.remarks.iter().for_each(|remark| ui.warn(remark));
    }

    /// Tells scripts what would be done.
    ///
    /// # Errors
    /// Where stdout cannot be written.
    pub fn report(&self, ui: &Ui) -> Result<(), Failure> {
        let mut would = Listing::dry_run(ui);
        for address in self.wanted.iter() {
            would.add(&format!("issue {address}"), |_| String::new());
        }
        for end in self.ends.iter() {
            would.add(&end, |_| String::new());
        }
        would.end()
    }
}

/// The first of the items that were seen, in their order, and the number of all.
#[derive(Default)]
pub struct First<const MOST: usize> {
    /// The number of items that were seen.
    pub count: usize,
    /// The first.
    pub first: Vec<String>,
}

impl<const MOST: usize> First<MOST> {
    /// Adds an item.
    pub fn add(&mut self, text: String) {
        self.count += 1;
        if self.first.len() < MOST {
            self.first.push(text);
        }
    }
}

impl<const MOST: usize> Display for First<MOST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.count > MOST { ", …" } else { "" };
        write!(f, "{}{more}", self.first.join(", "))
    }
}

/// Texts that wait until it is known how many they are. There may be one for each device: they lie end to
/// end.
#[derive(Default)]
struct Lines {
    text: String,
    count: usize,
}

/// What no line has in it.
const END: char = '\0';

impl Lines {
    fn add(&mut self, line: &dyn Display) {
        // Writing to a text does not fail.
        let _ = write!(self.text, "{line}{END}");
        self.count += 1;
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        self.text.split_terminator(END)
    }
}
