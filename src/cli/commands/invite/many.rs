//! `pki invite create --from`: invites for a list of people, all of them or none.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use zeroize::Zeroizing;

use super::create::{CreateArgs, make, withdraw};
use super::files::{Sheet, write};
use super::hand_over::Report;
use super::link::Link;
use crate::ca::{self, Asked, Asking, CaError, Invitation, OutputDir, Person};
use crate::cli::commands::forecast::First;
use crate::cli::context::{Context, system_clock};
use crate::cli::error::{Exit, Failure};
use crate::cli::invited::{has_ended, would_end};
use crate::cli::listing::Listing;
use crate::cli::people;
use crate::cli::report::{lines, table};
use crate::disk;
use crate::home::Home;
use crate::model::{Address, Invite, counted};
use crate::store::Store;

/// How many rows, or invites, are told one by one.
const SHOWN: usize = 20;

/// The invites of a list, for people and scripts.
#[derive(Serialize)]
struct ManyReport<'a> {
    invites: Vec<Report<'a>>,
    /// The file with the six digits of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    code_file: Option<String>,
}

impl fmt::Display for ManyReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = table(&["DEVICE", "INVITE", "SHEET"]);
        for invite in &self.invites {
            shown.add_row(invite.row());
        }
        f.write_str(&lines(&shown))
    }
}

/// Invites each device of the list.
pub fn many(args: &CreateArgs, list: &Path, context: &Context) -> Result<Exit, Failure> {
    let home = context.open()?;
    demand_places(args, &home, context)?;
    let people = people::read(list, &home, "nobody was invited")?;
    let profile = args.profile_of(&home)?;
    let askings = |store: &Store| -> Result<Vec<Asking>, Failure> {
        let asked = people.iter().map(|person| {
            let days = person.days.or(args.days);
            args.asking(asked(person, args), days, &profile, store)
        });
        asked.collect()
    };
    // Looked at once before anybody types a passphrase for what will be refused.
    let (link, before) = {
        let store = context.read(&home)?;
        demand_invitable(&people, &askings(&store)?, &home, &store)?;
        people::warn_of_slips(&unknown(&people, &store)?, &store, context)?;
        (Link::of(&home, &store)?, open_before(&people, &store)?)
    };
    if let Some(out) = &args.out {
        OutputDir::try_out(out, &home)?;
    }
    if args.dry_run {
        args.issuing.try_out(&home, &context.ui);
        return tell_what_would_be(&people, &before, args, context);
    }
    let (desk, invitations) = make(args, home, &askings, context)?;
    tell_cancelled(&invitations, context);
    let organization = &desk.home.chain().issuer().organization;
    hand_over(&invitations, &link, organization, args, context)
        .or_else(|failure| withdraw(&desk, &invitations, failure, context))
}

/// There must be a place for all the secrets before there are any: nobody scans so many codes from a
/// terminal.
fn demand_places(args: &CreateArgs, home: &Home, context: &Context) -> Result<(), Failure> {
    if args.out.is_none() && !context.ui.json {
        return Err(
            Failure::usage("a terminal cannot show the codes of a whole list").hint(
                "--out DIR writes a sheet to print for each device; --json prints one document with all links",
            ),
        );
    }
    if args.code && args.code_out.is_none() {
        return Err(
            Failure::usage("the six digits of a list need a file of their own").hint(
                "name it with --code-out FILE: whoever has the sheets must not have the digits as well",
            ),
        );
    }
    args.demand_new_files(home)
}

fn asked(person: &Person, args: &CreateArgs) -> Asked {
    Asked {
        address: person.address.clone(),
        name: person.name.clone(),
        email: person.email.clone(),
        platform: person.platform.or(args.platform),
    }
}

/// Makes sure that each of them can be invited.
fn demand_invitable(
    people: &[Person],
    askings: &[Asking],
    home: &Home,
    store: &Store,
) -> Result<(), Failure> {
    let now = system_clock().max(store.last_time());
    let mut refused = First::<SHOWN>::default();
    for (person, asking) in people.iter().zip(askings) {
        match ca::plan_invite(store, home, asking, now) {
            Ok(_) => {}
            Err(why @ (CaError::Store(_) | CaError::Home(_) | CaError::Enrollment(_))) => {
                return Err(why.into());
            }
            Err(why) => refused.add(format!("  line {}: {}: {why}", person.line, person.address)),
        }
    }
    if refused.count == 0 {
        return Ok(());
    }
    let more = match refused.count.saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("\n  and {more} more"),
    };
    let rows = counted(refused.count, "row");
    let message = format!(
        "nobody was invited; {rows} of the list cannot be:\n{}{more}",
        refused.first.join("\n")
    );
    Err(Failure::new(Exit::Refused, "policy", message).hint(
        "take them out, and run the same command again; a device that has a certificate and shall get another: --replace",
    ))
}

/// The devices that the ledger does not know, with their lines.
fn unknown(people: &[Person], store: &Store) -> Result<Vec<(u64, Address)>, Failure> {
    let mut new = Vec::new();
    for person in people {
        if store.device(&person.address)?.is_empty() {
            new.push((person.line, person.address.clone()));
        }
    }
    Ok(new)
}

/// The invites of each of them that are open, and that a new one cancels.
fn open_before(people: &[Person], store: &Store) -> Result<Vec<Vec<Invite>>, Failure> {
    let now = system_clock();
    let open = people
        .iter()
        .map(|person| ca::open_of_device(store, &person.address, now));
    Ok(open.collect::<Result<_, _>>()?)
}

fn tell_what_would_be(
    people: &[Person],
    before: &[Vec<Invite>],
    args: &CreateArgs,
    context: &Context,
) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let devices = counted(people.len(), "device");
    ui.say(format!("would invite {devices}, for {}", args.expires));
    let mut would = Listing::dry_run(ui);
    let invite = people.iter().zip(before).flat_map(|(person, before)| {
        let cancel = before.iter().map(would_end);
        std::iter::once(format!("invite {}", person.address)).chain(cancel)
    });
    let out = args.out.iter();
    let write = out.map(|out| {
        format!(
            "write a sheet and the code of each as pictures into {}",
            out.display()
        )
    });
    for what in invite.chain(write) {
        ui.more(&what);
        would.add(&what, |_| String::new());
    }
    would.end()?;
    Ok(Exit::Done)
}

fn tell_cancelled(invitations: &[Invitation], context: &Context) {
    let cancelled: Vec<&Invite> = invitations.iter().flat_map(|one| &one.cancels).collect();
    for before in cancelled.iter().take(SHOWN) {
        context.ui.say(has_ended(before));
    }
    if let more @ 1.. = cancelled.len().saturating_sub(SHOWN) {
        context.ui.more(format!("and {more} more"));
    }
}

/// Gives the secrets to whom they are for. They are kept nowhere.
fn hand_over(
    invitations: &[Invitation],
    link: &Link,
    organization: &str,
    args: &CreateArgs,
    context: &Context,
) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let links: Vec<_> = invitations.iter().map(|one| link.to(one)).collect();
    let secrets = invitations.iter().map(|one| one.secret.expose());
    let secrets: Vec<_> = secrets.map(Zeroizing::new).collect();
    let files = match &args.out {
        Some(out) => write_sheets(out, invitations, &links, organization, context)?,
        None => vec![Vec::new(); invitations.len()],
    };
    if let Some(file) = &args.code_out {
        let codes = codes(invitations);
        disk::replace(file, disk::PRIVATE_FILE, codes.as_bytes()).map_err(CaError::from)?;
    }
    let until = invitations.iter().map(|one| one.invite.until).max();
    ui.say(format!(
        "invited {}{}",
        counted(invitations.len(), "device"),
        until.map_or_else(String::new, |until| format!(" until {until}"))
    ));
    let reports = invitations.iter().zip(&links).zip(&secrets).zip(&files);
    let report = ManyReport {
        invites: reports
            .map(|(((one, text), secret), files)| Report::new(&one.invite, text, secret, link, files))
            .collect(),
        code_file: args.code_out.as_ref().map(|file| file.display().to_string()),
    };
    match ui.json {
        true => ui.report_once(&report),
        false => ui.report_done(&report, Ok(Exit::Done)),
    }
}

fn write_sheets(
    out: &Path,
    invitations: &[Invitation],
    links: &[Zeroizing<String>],
    organization: &str,
    context: &Context,
) -> Result<Vec<Vec<PathBuf>>, Failure> {
    let sheets: Vec<Sheet<'_>> = invitations
        .iter()
        .zip(links)
        .map(|(one, link)| Sheet {
            organization,
            invite: &one.invite,
            link,
            asks_for_digits: one.code.is_some(),
            typed: None,
        })
        .collect();
    let bar = context.ui.progress("writing sheets", sheets.len());
    let written = write(out, &sheets, &|count| bar.inc(count as u64));
    bar.finish_and_clear();
    written
}

/// The six digits of each invite as CSV.
fn codes(invitations: &[Invitation]) -> Zeroizing<String> {
    let mut list = Zeroizing::new(String::from("address,code\n"));
    for one in invitations {
        if let Some(digits) = &one.code {
            list.push_str(&format!("{},{}\n", one.invite.address, digits.as_str()));
        }
    }
    list
}
