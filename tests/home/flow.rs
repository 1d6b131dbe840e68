//! A whole life in process, with a clock that the test holds: what must stay true over months and after
//! accidents.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pki::ca::{
    self, BundleDelivery, CaError, ClockPolicy, Codes, Delivery, DeliveryError, Desk, Founding, Haste,
    Intent, IssuanceError, KeyRequest, Leavers, NewKey, Old, OutputDir, PassphraseDelivery, Passphrases,
    Published, Receipt, Refresh, Request, RootInProfile, Session, SessionError, Subdomains, Uncommitted,
    Undelivered, UnfitKey, Whom,
};
use pki::fetch::{self, Fetched, Order, SourceName, Stopped, Unproven};
use pki::home::Home;
use pki::issuer::{Chain, Devices, Root};
use pki::key::{Passphrase, SoftwareKey};
use pki::model::draft::Holder;
use pki::model::server::OldPin;
use pki::model::{Address, Authority, Form, NameConstraints, Reason, Serial, Span, Status, Time};
use pki::x509::crl::Crl;
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::support::{rounds, soak};

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(1_800_000_000) };
}

/// The test's clock.
fn clock() -> Time {
    Time::from_unix(NOW.get())
}

fn pass(span: Span) {
    NOW.set(NOW.get() + span.as_seconds());
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::from_octets(Zeroizing::new(text.as_bytes().to_vec())).unwrap()
}

/// A home in a directory of its own, with its keys unlocked.
struct Company {
    directory: TempDir,
    issuing: Devices,
    root: Root,
}

impl Company {
    fn found() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let founding = Founding {
            home: directory.path().join("home"),
            organization: "Acme Ltd".into(),
            constraints: NameConstraints {
                domains: vec!["acme.example".parse().unwrap()],
                ..NameConstraints::default()
            },
            base_url: None,
            offline_root: None,
            said: pki::model::Said::All,
            clock: ClockPolicy::Strict,
        };
        let passphrases = Passphrases {
            root: passphrase("for the safe only"),
            issuing: passphrase("for every day"),
        };
        let home = ca::found(&founding, &passphrases, clock, "test").unwrap().home;
        let key =
            |authority, passphrase| SoftwareKey::decrypt(&home.key(authority).unwrap(), passphrase).unwrap();
        let issuing = Devices::open(
            home.chain().clone(),
            key(Authority::Issuing, &passphrases.issuing),
            None,
        )
        .unwrap();
        let root = Root::open(
            home.chain().root().clone(),
            key(Authority::Root, &passphrases.root),
        )
        .unwrap();
        Self {
            directory,
            issuing,
            root,
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    fn desk(&self) -> Desk {
        let home = Home::open(&self.path()).unwrap();
        Desk {
            home,
            by: "test".into(),
            holder: "test".into(),
            patience: Duration::from_secs(5),
            clock,
            goes_on_here: false,
            reconciles: false,
        }
    }

    fn request(&self, address: &str) -> Request {
        let holder = Holder {
            address: address.parse().unwrap(),
            name: None,
            email: None,
            platform: Default::default(),
        };
        let profile = self.desk().home.profile("device").unwrap();
        Request {
            key: KeyRequest::Bundle(holder.platform.form()),
            holder,
            days: None,
            profile,
        }
    }

    /// Carries out a request, and gives the new certificate's serial.
    fn carry_out(&self, request: &Request, intent: Intent) -> Result<Serial, CaError> {
        let desk = self.desk();
        let mut session = desk.session(ClockPolicy::Strict)?;
        let plan = ca::plan(&session.store, &desk.home, request, intent, session.now)?;
        let mut output = OutputDir::open(&self.directory.path().join("out"), &desk.home)?;
        let mut see = |_: &Address, _: &Passphrase| Ok(());
        let shown = PassphraseDelivery::Shown(&mut see);
        let mut delivery = BundleDelivery::new(&mut output, shown, Codes::None, RootInProfile::Omitted);
        Ok(ca::issue(&mut session, &self.issuing, vec![plan], &mut delivery)?
            .remove(0)
            .serial)
    }

    fn issue(&self, address: &str) -> Result<Serial, CaError> {
        self.carry_out(&self.request(address), Intent::Single(Leavers::LockedOut))
    }

    fn revoke(&self, address: &str) {
        let desk = self.desk();
        let mut session = desk.session(ClockPolicy::Lenient).unwrap();
        ca::revoke(
            &mut session,
            &Whom::Device(address.parse().unwrap()),
            Reason::Lost,
        )
        .unwrap();
    }

    /// Takes in a server, or has the key in reserve take over.
    fn next_server_key(&self, old: OldPin) {
        let host = "api.acme.example".parse().unwrap();
        let secret = passphrase("for every day");
        let make = || NewKey::make(&secret).unwrap();
        let desk = self.desk();
        let output = OutputDir::open(&self.directory.path().join("out"), &desk.home).unwrap();
        let mut session = desk.session(ClockPolicy::Strict).unwrap();
        match session.store.server(&host).unwrap() {
            None => ca::add(
                &mut session,
                &host,
                Subdomains::Excluded,
                &[make(), make()],
                &output,
            ),
            Some(server) => {
                let backup = ca::open_key(&desk.home, &host, server.backup.pin, &secret).unwrap();
                ca::rotate(&mut session, &host, &backup, &make(), (old, Haste::None), &output)
            }
        }
        .unwrap();
    }

    fn publish_with(&self, policy: ClockPolicy) -> Result<Published, CaError> {
        let desk = self.desk();
        match ca::refresh(&mut desk.session(policy)?, (&self.issuing).into())? {
            Refresh::Done(published) => Ok(*published),
            Refresh::NeedsKey => panic!("a key was given"),
        }
    }

    fn publish(&self) -> Published {
        self.publish_with(ClockPolicy::Strict).unwrap()
    }

    fn status(&self, serial: &Serial) -> Status {
        self.desk()
            .home
            .read()
            .unwrap()
            .record(serial)
            .unwrap()
            .unwrap()
            .status(clock())
    }

    /// Number and serials of the published CRL.
    fn crl(&self) -> (u64, Vec<Serial>) {
        let der = std::fs::read(self.path().join("public/crl/issuing.crl")).unwrap();
        let crl = Crl::parse(&der).unwrap();
        (
            crl.terms().number,
            crl.entries().map(|entry| entry.unwrap().serial).collect(),
        )
    }

    /// What a server's timer does, for one half.
    fn fetch(&self, half: &str) -> Result<Fetched, Stopped> {
        self.fetch_from(&self.path(), half)
    }

    fn fetch_from(&self, place: &Path, half: &str) -> Result<Fetched, Stopped> {
        let source = SourceName::Directory(place.join(half));
        let (root, out) = (
            self.directory.path().join("root.crt"),
            self.directory.path().join("srv"),
        );
        std::fs::write(&root, self.root.certificate().pem()).unwrap();
        fetch::fetch(&Order {
            source: &source,
            root: &root,
            out: &out.join(half),
            area: None,
            group: None,
            ca: None,
            resolve: &[],
            root_crl: None,
            confirmed: &[],
            exec: None,
            wait: Duration::from_secs(5),
            timeout: Duration::from_secs(60),
            is_trial: false,
            now: clock(),
        })
    }

    fn backup(&self, name: &str) {
        std::fs::copy(self.path().join("ledger.jsonl"), self.directory.path().join(name)).unwrap();
    }

    fn restore(&self, name: &str) {
        std::fs::copy(self.directory.path().join(name), self.path().join("ledger.jsonl")).unwrap();
        std::fs::remove_dir_all(self.path().join("index")).unwrap();
    }
}

#[test]
fn nobody_is_locked_out_by_a_month_of_silence_where_the_timer_runs() {
    let company = Company::found();
    let (first, _) = company.crl();
    for _ in 0..4 {
        pass(Span::days(7));
        company.publish();
    }
    let (last, _) = company.crl();
    assert!(last > first);
    let desk = company.desk();
    let crl = desk
        .home
        .read()
        .unwrap()
        .last_crl(Authority::Issuing)
        .unwrap()
        .unwrap();
    assert!(crl.next_update > clock() + Span::days(10));
}

#[test]
fn a_crl_is_signed_anew_when_half_its_life_is_over_or_something_was_revoked_and_only_then() {
    let company = Company::found();
    let (first, _) = company.crl();
    company.issue("alice/phone").unwrap();
    pass(Span::days(14));
    assert!(company.publish().crl.is_none());
    assert_eq!(company.crl().0, first);
    pass(Span::days(1));
    assert!(company.publish().crl.is_some());
    company.revoke("alice/phone");
    assert_eq!(company.publish().crl.map(|crl| crl.entries), Some(1));
    assert!(company.publish().written.is_empty());
}

#[test]
fn an_entry_leaves_one_crl_after_its_certificate_ended() {
    let company = Company::found();
    let lost = company.issue("alice/phone").unwrap();
    company.revoke("alice/phone");
    company.publish();
    for _ in 0..5 {
        pass(Span::days(16));
        company.publish();
        assert_eq!(company.crl().1, [lost]);
    }
    pass(Span::days(11));
    company.publish();
    assert_eq!(
        company.crl().1,
        [lost],
        "the certificate ended, and no CRL has said so after that"
    );
    pass(Span::days(16));
    company.publish();
    company.publish();
    assert_eq!(company.crl().1, [lost], "this is the one beyond its end");
    pass(Span::days(16));
    company.publish();
    assert_eq!(company.crl().1, []);
}

#[test]
fn a_lost_phone_stays_locked_out_after_a_restore_from_an_old_backup() {
    let company = Company::found();
    let lost = company.issue("alice/phone").unwrap();
    company.backup("before");
    pass(Span::minutes(10));
    let unknown = company.issue("bob/phone").unwrap();
    company.revoke("alice/phone");
    company.revoke("bob/phone");
    company.publish();
    let (number, _) = company.crl();
    company.restore("before");
    assert_eq!(company.status(&lost), Status::Valid, "the backup does not know");

    let published = company.publish();
    assert_eq!(published.adopted, 2);
    assert_eq!(company.status(&lost), Status::Revoked);
    let mut both = [lost, unknown];
    both.sort_unstable();
    assert_eq!(company.crl().1, both);
    pass(Span::days(16));
    company.publish();
    assert!(
        company.crl().0 > number,
        "numbers rise although the ledger forgot some"
    );
    assert_eq!(company.crl().1, both);
}

#[test]
fn a_clock_that_was_years_ahead_lets_no_lost_phone_in_again() {
    let company = Company::found();
    let lost = company.issue("alice/phone").unwrap();
    company.revoke("alice/phone");
    company.publish();
    let right = NOW.get();
    pass(Span::days(700));
    assert!(matches!(
        company.publish_with(ClockPolicy::Strict),
        Err(CaError::Session(SessionError::ClockAhead { .. }))
    ));
    company.publish_with(ClockPolicy::Confirmed).unwrap();
    pass(Span::days(20));
    company.publish();
    NOW.set(right + 3600);
    assert!(matches!(
        company.publish_with(ClockPolicy::Strict),
        Err(CaError::Session(SessionError::ClockBehind { .. }))
    ));
    company.publish_with(ClockPolicy::Confirmed).unwrap();
    assert_eq!(company.crl().1, [lost]);
    let der = std::fs::read(company.path().join("public/crl/issuing.crl")).unwrap();
    assert!(
        Crl::parse(&der).unwrap().terms().this_update <= clock(),
        "servers take it"
    );
}

#[test]
fn a_renewed_device_keeps_its_old_certificate_until_it_ends_or_is_told_to_revoke_it() {
    let company = Company::found();
    let first = company.issue("alice/phone").unwrap();
    assert!(matches!(
        company.issue("alice/phone"),
        Err(CaError::Issuance(IssuanceError::AlreadyValid { .. }))
    ));
    let request = company.request("alice/phone");
    let second = company.carry_out(&request, Intent::Renewal(Old::Kept)).unwrap();
    assert_eq!(
        (company.status(&first), company.status(&second)),
        (Status::Superseded, Status::Valid)
    );
    let third = company
        .carry_out(&request, Intent::Renewal(Old::Revoked))
        .unwrap();
    assert_eq!(
        (company.status(&second), company.status(&third)),
        (Status::Revoked, Status::Valid)
    );
    company.revoke("alice/phone");
    for serial in [first, second, third] {
        assert_eq!(company.status(&serial), Status::Revoked);
    }
}

#[test]
fn a_device_that_was_renewed_since_it_was_found_due_is_not_renewed_again() {
    let company = Company::found();
    // How old their certificates are by then (carol's have ended), and what becomes of them.
    for (employee, days, old) in [
        ("alice", 40, Old::Revoked),
        ("bob", 40, Old::Kept),
        ("carol", 500, Old::Revoked),
    ] {
        let [phone, tablet] = ["phone", "tablet"].map(|device| format!("{employee}/{device}"));
        let was = [&phone, &tablet].map(|address| company.issue(address).unwrap());
        pass(Span::days(days));
        company.publish_with(ClockPolicy::Confirmed).unwrap();
        assert_eq!(company.status(&was[0]) == Status::Expired, employee == "carol");
        let found = |address: &String, serial| (company.request(address), Intent::RenewalOf(serial, old));
        let due = [found(&phone, was[0]), found(&tablet, was[1])];
        let meanwhile = company.carry_out(&due[0].0, due[0].1).unwrap();
        let mut delivery = Foresight::default();
        let (desk, devices) = (company.desk(), &company.issuing);
        let tally = ca::issue_all(
            &desk,
            ClockPolicy::Strict,
            devices,
            &due,
            &mut delivery,
            &mut |_| {},
        );
        assert!(tally.stopped.is_none() && tally.failed.is_empty(), "{tally:?}");
        assert_eq!(tally.already, [phone.parse().unwrap()]);
        assert_eq!(tally.issued.len(), 1);
        assert_eq!(company.status(&meanwhile), Status::Valid);
        // One that was locked out since is told as that.
        let serial = tally.issued[0].serial;
        company.revoke(&tablet);
        let refused = company.carry_out(&due[1].0, Intent::RenewalOf(serial, old));
        assert!(matches!(
            refused,
            Err(CaError::Issuance(IssuanceError::NothingToRenew(_)))
        ));
        // Who asks for it by name has it renewed.
        company.carry_out(&due[0].0, Intent::Renewal(old)).unwrap();
    }
}

#[test]
fn who_was_locked_out_is_not_let_in_by_a_list() {
    let company = Company::found();
    company.issue("alice/phone").unwrap();
    company.issue("bob/phone").unwrap();
    company.revoke("alice/phone");
    let desk = company.desk();
    ca::offboard(
        &mut desk.session(ClockPolicy::Lenient).unwrap(),
        &"bob".parse().unwrap(),
    )
    .unwrap();
    let by_list =
        |address: &str, leavers| company.carry_out(&company.request(address), Intent::List(leavers));
    assert!(matches!(
        by_list("alice/phone", Leavers::LockedOut),
        Err(CaError::Issuance(IssuanceError::LockedOut { .. }))
    ));
    for address in ["bob/phone", "bob/tablet"] {
        assert!(
            matches!(
                by_list(address, Leavers::LockedOut),
                Err(CaError::Issuance(IssuanceError::Offboarded { .. }))
            ),
            "{address}"
        );
        assert!(
            matches!(
                company.issue(address),
                Err(CaError::Issuance(IssuanceError::Offboarded { .. }))
            ),
            "{address}"
        );
    }
    let renewal = company.carry_out(&company.request("bob/phone"), Intent::Renewal(Old::Kept));
    assert!(matches!(
        renewal,
        Err(CaError::Issuance(IssuanceError::Offboarded { .. }))
    ));
    assert!(by_list("alice/phone", Leavers::Reissue).is_ok());
    assert!(by_list("bob/phone", Leavers::Reissue).is_ok());
    assert!(company.issue("bob/tablet").is_ok(), "she is back");
}

#[test]
fn neighbours_in_the_index_are_told_apart() {
    let company = Company::found();
    for address in [
        "alice/phone",
        "alice/phone2",
        "alice.smith/phone",
        "alice-x/phone",
        "al/phone",
    ] {
        company.issue(address).unwrap();
    }
    company.revoke("alice/phone");
    let store = company.desk().home.read().unwrap();
    let mut left = Vec::new();
    store
        .records(&mut |record| {
            if record.status(clock()) == Status::Valid {
                left.push(record.address.to_string());
            }
            Ok(())
        })
        .unwrap();
    left.sort_unstable();
    assert_eq!(
        left,
        ["al/phone", "alice-x/phone", "alice.smith/phone", "alice/phone2"]
    );
    assert_eq!(store.employee(&"alice".parse().unwrap()).unwrap().len(), 2);
}

#[test]
fn a_long_ledger_says_the_same_from_its_index_as_from_itself() {
    let company = Company::found();
    let requests: Vec<Request> = (0..400)
        .map(|i| company.request(&format!("user{i}/phone")))
        .collect();
    let desk = company.desk();
    let mut output = OutputDir::open(&company.directory.path().join("out"), &company.desk().home).unwrap();
    let mut see = |_: &Address, _: &Passphrase| Ok(());
    let shown = PassphraseDelivery::Shown(&mut see);
    let mut delivery = BundleDelivery::new(&mut output, shown, Codes::None, RootInProfile::Omitted);
    let intent = Intent::List(Leavers::LockedOut);
    let requests: Vec<_> = requests.into_iter().map(|request| (request, intent)).collect();
    let tally = ca::issue_all(
        &desk,
        ClockPolicy::Strict,
        &company.issuing,
        &requests,
        &mut delivery,
        &mut |_| {},
    );
    assert_eq!((tally.issued.len(), tally.stopped.is_none()), (400, true));
    company.revoke("user7/phone");
    let inventory = |home: &Path| {
        let store = Home::open(home).unwrap().read().unwrap();
        let mut all = Vec::new();
        store
            .records(&mut |record| {
                all.push(record);
                Ok(())
            })
            .unwrap();
        all.sort_by_key(|record| record.seq);
        (
            all,
            store.revoked(Authority::Issuing, None).unwrap(),
            store.notices().len(),
        )
    };
    // A thread of sled's may hold the index for a moment after it was closed in this process; a reader goes
    // by the ledger then.
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    let mut seen = inventory(&company.path());
    while seen.2 > 0 && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
        seen = inventory(&company.path());
    }
    let (from_index, revoked, notices) = seen;
    assert!(
        company.path().join("index/db").is_file(),
        "a long ledger has an index"
    );
    assert_eq!((from_index.len(), revoked.len(), notices), (400, 1, 0));
    std::fs::remove_dir_all(company.path().join("index")).unwrap();
    assert_eq!(inventory(&company.path()), (from_index, revoked, 1));
}

#[test]
fn the_root_crl_is_signed_anew_with_a_higher_number() {
    let company = Company::found();
    let desk = company.desk();
    let before = desk
        .home
        .read()
        .unwrap()
        .last_crl(Authority::Root)
        .unwrap()
        .unwrap();
    pass(Span::days(300));
    let mut session = desk.session(ClockPolicy::Confirmed).unwrap();
    let terms = ca::sign_root_crl(&mut session, &company.root).unwrap();
    drop(session);
    assert!(terms.number > before.number);
    assert!(terms.next_update > before.next_update + Span::days(290));
    assert_eq!(company.publish().root_crl_end, Some(terms.next_update));
}

/// Delivers bundles one name of which another home takes after the names were chosen.
struct Overtaken<'a>(BundleDelivery<'a>, PathBuf);

impl Delivery for Overtaken<'_> {
    fn prepare(
        &mut self,
        session: &Session<'_>,
        chain: &Chain,
        batch: &[Uncommitted],
    ) -> Result<(), CaError> {
        self.0.prepare(session, chain, batch)?;
        std::fs::write(&self.1, "another's").unwrap();
        Ok(())
    }

    fn deliver(
        &mut self,
        session: &Session<'_>,
        chain: &Chain,
        batch: Vec<Undelivered>,
    ) -> Result<Vec<Receipt>, CaError> {
        self.0.deliver(session, chain, batch)
    }
}

#[test]
fn a_bundle_whose_name_is_taken_meanwhile_is_delivered_with_the_serial_in_its_name() {
    let company = Company::found();
    let (desk, directory) = (company.desk(), company.directory.path().join("out"));
    let mut output = OutputDir::open(&directory, &desk.home).unwrap();
    let mut see = |_: &Address, _: &Passphrase| Ok(());
    let shown = PassphraseDelivery::Shown(&mut see);
    let bundles = BundleDelivery::new(&mut output, shown, Codes::None, RootInProfile::Omitted);
    let anothers = directory.join("alice-phone.p12");
    let mut delivery = Overtaken(bundles, anothers.clone());
    let mut alice = company.request("alice/phone");
    alice.holder.platform = pki::model::Platform::Ios;
    let requests = [alice, company.request("bob/phone")];
    let requests = requests.map(|request| (request, Intent::List(Leavers::LockedOut)));
    let (policy, devices) = (ClockPolicy::Strict, &company.issuing);
    let tally = ca::issue_all(&desk, policy, devices, &requests, &mut delivery, &mut |_| {});
    assert!(tally.stopped.is_none(), "{tally:?}");
    let [alice, bob] = tally.issued.as_slice() else {
        panic!("{tally:?}")
    };
    let stem = format!("alice-phone-{}", alice.serial.short());
    let names = ["p12", "mobileconfig"].map(|extension| directory.join(format!("{stem}.{extension}")));
    assert_eq!(alice.files, names);
    assert_eq!(bob.files, [directory.join("bob-phone.p12")]);
    assert!(alice.files.iter().chain(&bob.files).all(|file| file.exists()));
    assert_eq!(text(&anothers), "another's");
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 4);
}

/// Writes the passphrases of bundles, and delivers none of them: as where the disk is full by then.
struct CutOff<'a>(BundleDelivery<'a>);

impl Delivery for CutOff<'_> {
    fn warm_up(&mut self, forms: &[Form]) -> Result<(), CaError> {
        self.0.warm_up(forms)
    }

    fn prepare(
        &mut self,
        session: &Session<'_>,
        chain: &Chain,
        batch: &[Uncommitted],
    ) -> Result<(), CaError> {
        self.0.prepare(session, chain, batch)
    }

    fn deliver(&mut self, _: &Session<'_>, _: &Chain, _: Vec<Undelivered>) -> Result<Vec<Receipt>, CaError> {
        Err(CaError::ReadBack(pki::disk::Shown("out".into())))
    }
}

impl Company {
    /// Issues to the phones of these employees, with their passphrases in a list.
    fn issue_to_list(&self, employees: &[&str], list: &Path, is_cut_off: bool) {
        let desk = self.desk();
        let intent = Intent::List(Leavers::LockedOut);
        let request = |employee: &&str| (self.request(&format!("{employee}/phone")), intent);
        let requests: Vec<_> = employees.iter().map(request).collect();
        let mut output = OutputDir::open(&self.directory.path().join("out"), &desk.home).unwrap();
        let passphrases = PassphraseDelivery::List(list.to_owned());
        let bundles = BundleDelivery::new(&mut output, passphrases, Codes::None, RootInProfile::Omitted);
        let (mut whole, mut cut_off);
        let delivery: &mut dyn Delivery = if is_cut_off {
            cut_off = CutOff(bundles);
            &mut cut_off
        } else {
            whole = bundles;
            &mut whole
        };
        let (policy, devices) = (ClockPolicy::Strict, &self.issuing);
        let tally = ca::issue_all(&desk, policy, devices, &requests, delivery, &mut |_| {});
        assert_eq!(tally.stopped.is_some(), is_cut_off, "{tally:?}");
        assert!(tally.failed.is_empty(), "{tally:?}");
    }

    fn owed(&self) -> PathBuf {
        self.path().join("owed.json")
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The addresses of a list of passphrases, line by line.
fn whose(path: &Path) -> Vec<String> {
    let line = |line: &str| line.split_once("/phone\t").unwrap().0.to_owned();
    text(path).lines().map(line).collect()
}

#[test]
fn what_a_command_left_in_a_list_that_was_cut_off_is_taken_out_by_the_same_one() {
    let company = Company::found();
    let list = company.directory.path().join("list");
    company.issue_to_list(&["carol"], &list, false);
    let before = text(&list);
    company.issue_to_list(&["alice", "bob"], &list, true);
    company.issue_to_list(&["alice", "bob"], &list, true);
    company.issue_to_list(&["alice", "bob"], &list, false);
    assert!(text(&list).starts_with(&before));
    assert_eq!(whose(&list), ["carol", "alice", "bob"]);
}

#[test]
fn what_another_home_has_appended_to_a_list_stays_in_it() {
    let (company, other) = (Company::found(), Company::found());
    let list = company.directory.path().join("list");
    company.issue_to_list(&["alice", "bob"], &list, true);
    other.issue_to_list(&["carol", "alice"], &list, false);
    let before = text(&list);
    company.issue_to_list(&["alice", "bob"], &list, false);
    assert!(text(&list).starts_with(&before));
    assert_eq!(whose(&list)[4..], ["alice", "bob"]);
}

#[test]
fn another_list_that_has_got_the_name_of_a_void_one_is_left_as_it_is() {
    let company = Company::found();
    let [old, list] = ["old", "list"].map(|name| company.directory.path().join(name));
    company.issue_to_list(&["carol", "dave"], &old, false);
    company.issue_to_list(&["alice", "bob"], &list, true);
    std::fs::remove_file(&list).unwrap();
    std::fs::rename(&old, &list).unwrap();
    let before = text(&list);
    company.issue_to_list(&["alice", "bob"], &list, false);
    assert!(text(&list).starts_with(&before));
    assert_eq!(whose(&list), ["carol", "dave", "alice", "bob"]);
}

#[test]
fn a_home_from_a_backup_takes_out_nothing_that_was_delivered_after_it() {
    let company = Company::found();
    let [list, owed] = ["list", "owed"].map(|name| company.directory.path().join(name));
    company.issue_to_list(&["alice", "bob"], &list, true);
    company.backup("ledger");
    std::fs::copy(company.owed(), &owed).unwrap();
    company.issue_to_list(&["alice", "bob"], &list, false);
    let before = text(&list);
    company.restore("ledger");
    std::fs::copy(&owed, company.owed()).unwrap();
    company.issue_to_list(&["carol"], &list, false);
    assert!(text(&list).starts_with(&before));
    assert_eq!(whose(&list), ["alice", "bob", "carol"]);
}

#[test]
fn void_lines_that_were_edited_or_noted_by_an_older_version_or_whose_devices_get_no_others_stay() {
    let company = Company::found();
    let list = company.directory.path().join("list");
    let edited = || std::fs::write(&list, text(&list) + "dave/phone\tx\n").unwrap();
    let shifted = || std::fs::write(&list, "dave/phone\tx\n".to_owned() + &text(&list)).unwrap();
    let of_an_older_version = || {
        let mut owed: serde_json::Value = serde_json::from_str(&text(&company.owed())).unwrap();
        let list = owed["list"].as_object_mut().unwrap();
        assert!(list.remove("sha256").is_some() && list.remove("length").is_some());
        std::fs::write(company.owed(), owed.to_string()).unwrap();
    };
    for change in [&edited as &dyn Fn(), &shifted, &of_an_older_version] {
        company.issue_to_list(&["alice"], &list, true);
        change();
        let before = text(&list);
        company.issue_to_list(&["alice"], &list, true);
        assert!(text(&list).starts_with(&before));
    }
    let before = text(&list);
    company.issue_to_list(&["bob"], &list, false);
    assert!(text(&list).starts_with(&before), "alice gets no other with this");
}

#[test]
fn a_bundle_whose_passphrase_nobody_saw_is_not_delivered() {
    let company = Company::found();
    let desk = company.desk();
    let request = company.request("alice/phone");
    let mut session = desk.session(ClockPolicy::Strict).unwrap();
    let intent = Intent::Single(Leavers::LockedOut);
    let plan = ca::plan(&session.store, &desk.home, &request, intent, session.now).unwrap();
    let mut output = OutputDir::open(&company.directory.path().join("out"), &company.desk().home).unwrap();
    let mut see = |_: &Address, _: &Passphrase| Err(std::io::ErrorKind::BrokenPipe.into());
    let shown = PassphraseDelivery::Shown(&mut see);
    let mut delivery = BundleDelivery::new(&mut output, shown, Codes::None, RootInProfile::Omitted);
    let outcome = ca::issue(&mut session, &company.issuing, vec![plan], &mut delivery);
    assert!(
        matches!(outcome, Err(CaError::Delivery(DeliveryError::Undelivered(_)))),
        "{outcome:?}"
    );
    let records = session.store.device(&"alice/phone".parse().unwrap()).unwrap();
    assert_eq!(records[0].status(session.now), Status::Undelivered);
}

#[test]
fn a_renewal_that_revokes_the_old_leaves_none_that_is_older_still() {
    let company = Company::found();
    company.issue("alice/phone").unwrap();
    let request = company.request("alice/phone");
    company.carry_out(&request, Intent::Renewal(Old::Kept)).unwrap();
    let last = company
        .carry_out(&request, Intent::Renewal(Old::Revoked))
        .unwrap();
    let desk = company.desk();
    let session = desk.session(ClockPolicy::Strict).unwrap();
    let records = session.store.device(&"alice/phone".parse().unwrap()).unwrap();
    let accepted: Vec<Serial> = records
        .iter()
        .filter(|record| record.status(session.now).accepted())
        .map(|record| record.serial)
        .collect();
    assert_eq!((records.len(), accepted), (3, vec![last]));
}

#[test]
fn a_key_that_was_stolen_is_certified_to_nobody_again() {
    let company = Company::found();
    let device = SoftwareKey::generate(&mut pki::key::os_rng());
    let own = |address: &str| Request {
        key: KeyRequest::Own(device.public_key().clone()),
        ..company.request(address)
    };
    let single = Intent::Single(Leavers::LockedOut);
    company.carry_out(&own("alice/phone"), single).unwrap();
    company.revoke("alice/phone");
    for address in ["alice/phone", "bob/phone"] {
        let refused = company.carry_out(&own(address), single);
        assert!(
            matches!(refused, Err(CaError::UnfitKey(UnfitKey::Revoked { .. }))),
            "{address}"
        );
    }
}

#[test]
fn a_template_that_does_not_work_is_noticed_before_anything_is_recorded() {
    let company = Company::found();
    std::fs::create_dir(company.path().join("templates")).unwrap();
    std::fs::write(
        company.path().join("templates/mobileconfig.plist"),
        "{{ nonsense }}",
    )
    .unwrap();
    let before = company.desk().home.read().unwrap().seq();
    let mut request = company.request("alice/phone");
    request.holder.platform = pki::model::Platform::Ios;
    let refused = company.carry_out(&request, Intent::Single(Leavers::LockedOut));
    assert!(matches!(refused, Err(CaError::Bundle(_))), "{refused:?}");
    assert_eq!(company.desk().home.read().unwrap().seq(), before);
}

#[test]
fn a_device_that_has_ended_by_a_wrong_clock_is_revoked_all_the_same() {
    let company = Company::found();
    let lost = company.issue("alice/phone").unwrap();
    company.publish();
    let right = NOW.get();
    pass(Span::days(700));
    company.publish_with(ClockPolicy::Confirmed).unwrap();
    company.revoke("alice/phone");
    company.publish();
    assert!(
        company.publish().written.is_empty(),
        "what has ended asks for no CRL again and again"
    );
    NOW.set(right + 3600);
    company.publish_with(ClockPolicy::Confirmed).unwrap();
    assert_eq!(company.status(&lost), Status::Revoked);
    assert_eq!(company.crl().1, [lost]);
}

/// Certificates of 8 to 90 days come and end, some are revoked, a server's keys are rotated, and some servers
/// come by every day and some once in three weeks: for a year and more in a soak, and for half of one.
#[test]
fn a_long_honest_history_is_fetched_without_a_refusal() {
    let company = Company::found();
    let mut left = 0;
    let mut last = 0;
    let days = if soak() { 400 } else { 200 };
    for day in (0..days).step_by(2) {
        let employee = format!("e{day}");
        if day % 6 != 0 {
            let mut request = company.request(&format!("{employee}/phone"));
            request.days = Some(8 + day % 83);
            company
                .carry_out(&request, Intent::Single(Leavers::LockedOut))
                .unwrap();
            if day % 10 < 6 {
                company.revoke(&format!("{employee}/phone"));
            }
        }
        if day % 60 == 58 {
            // As an operator who takes the root out of its safe from time to time.
            let desk = company.desk();
            let mut session = desk.session(ClockPolicy::Strict).unwrap();
            ca::sign_root_crl(&mut session, &company.root).unwrap();
        }
        if day % 70 == 40 {
            company.next_server_key(if day % 140 == 40 {
                OldPin::Retires
            } else {
                OldPin::Dropped
            });
        }
        company.publish();
        let entries = company.crl().1.len();
        left += usize::from(entries < last);
        last = entries;
        for half in ["public", "server"] {
            if half == "public" || day % 22 == 20 {
                let fetched = company
                    .fetch(half)
                    .unwrap_or_else(|stopped| panic!("day {day}, {half}: {}", stopped.error));
                assert_eq!(fetched.unproven, Unproven::default(), "day {day}");
            }
        }
        pass(Span::days(2));
    }
    assert!(left > 5, "hardly anything has left the CRL: {left}");
    let pins = company.directory.path().join("srv/public/pins/pins.json");
    assert!(pins.exists(), "no key was rotated");
}

/// The serial numbers that a list of the servers' half begins its lines with.
fn listed(file: &Path) -> BTreeSet<Serial> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let serials = text
        .lines()
        .map(|line| line.split(' ').next().unwrap().parse().unwrap());
    serials.collect()
}

fn copied(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    let copy = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copy.unwrap().success());
}

/// What can happen to a home, in no order that anybody chose: a server that fetches lets nobody in again, and
/// whoever is accepted where it is published can be revoked by name.
#[test]
fn no_order_of_backup_and_restore_lets_anybody_in_again() {
    let company = Company::found();
    let (home, web, backup) = ["home", "web", "backup"]
        .map(|name| company.directory.path().join(name))
        .into();
    let table = format!(
        "[[publish]]\npublic = '{0}/public'\nserver = '{0}/server'\n",
        web.display()
    );
    let config = std::fs::read_to_string(home.join("pki.toml")).unwrap() + &table;
    std::fs::write(home.join("pki.toml"), config).unwrap();
    let blank = company.directory.path().join("blank");
    copied(&home, &blank);
    let (mut refused, begun) = (0, NOW.get());
    for seed in 0..rounds(30) as u64 {
        NOW.set(begun);
        for directory in [&web, &backup, &company.directory.path().join("srv")] {
            let _ = std::fs::remove_dir_all(directory);
        }
        std::fs::create_dir(&web).unwrap();
        copied(&blank, &home);
        copied(&blank, &backup);
        // The generator of Numerical Recipes: the same sequence everywhere, for ever.
        let mut state = seed;
        let (mut seen, mut on_crl) = (BTreeSet::new(), BTreeSet::new());
        let mut done = Vec::new();
        for step in 0..14 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            pass(Span::minutes(300));
            let what = (state >> 16) % 9;
            done.push(what);
            let told = || format!("seed {seed}: {done:?}");
            match what {
                0 | 1 => drop(company.issue(&format!("e{seed}-{step}/phone"))),
                2 | 3 => {
                    // Somebody whom servers accept, by the name that they were told.
                    let text = std::fs::read_to_string(web.join("server/allowed.map")).unwrap_or_default();
                    let lines: Vec<&str> = text.lines().collect();
                    if let Some(line) = lines.get((state >> 24) as usize % lines.len().max(1)) {
                        let (serial, address) = line.split_once(' ').unwrap();
                        let address = address.trim_matches(['"', ';']);
                        let desk = company.desk();
                        ca::recover(&mut desk.session(ClockPolicy::Lenient).unwrap()).unwrap();
                        company.revoke(address);
                        company.publish();
                        let revoked = listed(&web.join("server/revoked.map"));
                        assert!(revoked.contains(&serial.parse().unwrap()), "{}", told());
                    }
                }
                4 => copied(&home, &backup),
                5 => copied(&backup, &home),
                // Its places are lost with it: the server alone remembers.
                6 | 7 => {
                    copied(&backup, &home);
                    std::fs::remove_dir_all(&web).unwrap();
                    std::fs::create_dir(&web).unwrap();
                }
                _ => drop(company.publish()),
            }
            for half in ["server", "public"] {
                if web.join(half).exists() {
                    refused += usize::from(company.fetch_from(&web, half).is_err());
                }
            }
            let server = company.directory.path().join("srv/server");
            let revoked = listed(&server.join("revoked.map"));
            let allowed = listed(&server.join("allowed.map"));
            assert!(
                seen.is_subset(&revoked) && seen.is_disjoint(&allowed),
                "{}",
                told()
            );
            seen = revoked;
            let crl = company.directory.path().join("srv/public/crl/issuing.crl");
            let der = std::fs::read(crl).unwrap_or_default();
            let entries =
                Crl::parse(&der).map(|crl| crl.entries().map(|entry| entry.unwrap().serial).collect());
            let entries: BTreeSet<Serial> = entries.unwrap_or_default();
            assert!(on_crl.is_subset(&entries), "{}", told());
            on_crl = entries;
        }
    }
    assert!(refused > 10, "hardly anything was refused: {refused}");
}

/// A delivery that looks at the home at each of its steps, and fails at one of them.
struct Watching<'a> {
    desk: &'a Desk,
    fails_at: Option<&'static str>,
    steps: Vec<(&'static str, usize)>,
}

impl Watching<'_> {
    fn step(&mut self, step: &'static str) -> Result<(), CaError> {
        let recorded = self.desk.home.read()?.seq();
        self.steps.push((step, usize::try_from(recorded).unwrap()));
        if self.fails_at == Some(step) {
            return Err(IssuanceError::Reserved("alice/phone".parse().unwrap()).into());
        }
        Ok(())
    }
}

impl Delivery for Watching<'_> {
    fn warm_up(&mut self, forms: &[Form]) -> Result<(), CaError> {
        assert_eq!(forms.len(), 1, "only for what will be issued");
        // Nobody waits for the lock meanwhile: it is free.
        drop(self.desk.session(ClockPolicy::Strict)?);
        self.step("warm up")
    }

    fn prepare(&mut self, _: &Session<'_>, _: &Chain, batch: &[Uncommitted]) -> Result<(), CaError> {
        assert_eq!(batch.len(), 1);
        self.step("prepare")
    }

    fn deliver(
        &mut self,
        session: &Session<'_>,
        _: &Chain,
        batch: Vec<Undelivered>,
    ) -> Result<Vec<Receipt>, CaError> {
        let record = session
            .store
            .record(&batch[0].committed.issued().serial)?
            .unwrap();
        assert_eq!(record.status(session.now), Status::Undelivered);
        self.step("deliver")?;
        Ok(vec![Receipt {
            bundle_sha256: Some([7; 32]),
            ..Receipt::default()
        }])
    }

    fn finish(&mut self, _: &Session<'_>) {
        self.step("finish").unwrap();
    }
}

#[test]
fn a_delivery_prepares_before_the_commit_and_delivers_after_it() {
    let company = Company::found();
    let desk = company.desk();
    let began = usize::try_from(desk.home.read().unwrap().seq()).unwrap();
    let intent = Intent::List(Leavers::LockedOut);
    let issue = |address: &str, fails_at| {
        let mut delivery = Watching {
            desk: &desk,
            fails_at,
            steps: Vec::new(),
        };
        let requests = [(company.request(address), intent)];
        let tally = ca::issue_all(
            &desk,
            ClockPolicy::Strict,
            &company.issuing,
            &requests,
            &mut delivery,
            &mut |_| {},
        );
        let steps = delivery.steps.iter().map(|(step, seq)| (*step, seq - began));
        (tally, steps.collect::<Vec<_>>())
    };
    // What cannot be delivered is not recorded.
    for (fails_at, steps) in [
        ("warm up", vec![("warm up", 0)]),
        ("prepare", vec![("warm up", 0), ("prepare", 0)]),
    ] {
        let (tally, seen) = issue("alice/phone", Some(fails_at));
        assert!(
            matches!(tally.stopped, Some(CaError::Issuance(IssuanceError::Reserved(_)))),
            "{tally:?}"
        );
        assert_eq!(seen, steps);
    }
    // What is recorded and does not get there is undelivered.
    let (tally, seen) = issue("alice/phone", Some("deliver"));
    assert!(
        matches!(
            tally.stopped,
            Some(CaError::Delivery(DeliveryError::Undelivered(_)))
        ),
        "{tally:?}"
    );
    assert_eq!(seen, [("warm up", 0), ("prepare", 0), ("deliver", 1)]);
    // The next try takes it back and issues anew; its delivery is an event of its own.
    let (tally, seen) = issue("alice/phone", None);
    assert_eq!((tally.issued.len(), tally.issued[0].lost), (1, 1));
    assert_eq!(
        seen,
        [("warm up", 1), ("prepare", 1), ("deliver", 3), ("finish", 4)]
    );
    // Where nobody is missing, nothing is begun.
    let (tally, seen) = issue("alice/phone", None);
    assert_eq!(
        (tally.already.len(), tally.failed.len(), seen),
        (1, 0, Vec::new())
    );
}

/// A delivery that notes for how many bundles it is warmed up, and how many it is told to expect.
#[derive(Default)]
struct Foresight {
    warmed_up: Vec<usize>,
    expected: Vec<usize>,
    prepared: usize,
}

impl Delivery for Foresight {
    fn warm_up(&mut self, forms: &[Form]) -> Result<(), CaError> {
        self.warmed_up.push(forms.len());
        Ok(())
    }

    fn expect(&mut self, forms: &[Form]) -> Result<(), CaError> {
        assert_eq!(self.expected.len() + 1, self.warmed_up.len(), "one batch ahead");
        assert_eq!(
            self.prepared,
            self.expected.len(),
            "before the batch before it is signed"
        );
        self.expected.push(forms.len());
        Ok(())
    }

    fn prepare(&mut self, _: &Session<'_>, _: &Chain, _: &[Uncommitted]) -> Result<(), CaError> {
        self.prepared += 1;
        Ok(())
    }

    fn deliver(
        &mut self,
        _: &Session<'_>,
        _: &Chain,
        batch: Vec<Undelivered>,
    ) -> Result<Vec<Receipt>, CaError> {
        let receipt = Receipt {
            bundle_sha256: Some([7; 32]),
            ..Receipt::default()
        };
        Ok(vec![receipt; batch.len()])
    }
}

#[test]
fn the_bundles_of_the_batch_after_this_one_are_foreseen() {
    let company = Company::found();
    let desk = company.desk();
    let intent = Intent::List(Leavers::LockedOut);
    let issue = |employees: Range<usize>| {
        let mut delivery = Foresight::default();
        let requests: Vec<_> = employees
            .map(|i| (company.request(&format!("employee{i:03}/phone")), intent))
            .collect();
        let (policy, devices) = (ClockPolicy::Strict, &company.issuing);
        let tally = ca::issue_all(&desk, policy, devices, &requests, &mut delivery, &mut |_| {});
        assert!(tally.stopped.is_none() && tally.failed.is_empty(), "{tally:?}");
        (tally.issued.len(), tally.already.len(), delivery)
    };
    let (issued, already, seen) = issue(0..600);
    assert_eq!((issued, already), (600, 0));
    assert_eq!(
        (seen.warmed_up, seen.expected),
        (vec![256, 256, 88], vec![256, 88])
    );
    // Who has a valid certificate gets no passphrase made; where a whole batch has, nothing is begun for it.
    let (issued, already, seen) = issue(0..610);
    assert_eq!((issued, already), (10, 600));
    assert_eq!((seen.warmed_up, seen.expected), (vec![10], vec![]));
}
