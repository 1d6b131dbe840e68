//! Real prompts in a real terminal: what is asked, what is shown, what is not, and in what state the terminal
//! is left.

use std::process::Command;
use std::time::{Duration, Instant};

use rexpect::reader::Options;
use rexpect::session::{PtySession, spawn_with_options};
use rustix::termios::{LocalModes, tcgetattr};

use crate::support::{
    Bundle, HOST, Home, ISSUING_PASSPHRASE, PKI, ROOT_PASSPHRASE, copy_of, files_below, need,
};

/// How long a terminal may be silent, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// A shell in a terminal of its own, and everything that was shown there.
struct Terminal {
    session: PtySession,
    seen: String,
}

impl Terminal {
    /// Starts a script. `pki` in it is the program under test, on this home, with no passphrase at hand.
    fn start(home: &Home, term: &str, script: &str) -> Self {
        let mut command = Command::new("/bin/sh");
        // rexpect turns the echo off; a person's terminal has it on. Ctrl-C is for the program, not for the
        // shell around it.
        let begin = format!("stty sane echo cols 100 rows 40; trap : INT; pki() {{ '{PKI}' \"$@\"; }}\n");
        command.args(["-c", &format!("{begin}{script}\necho \"ended $?\"")]);
        command.env_clear().current_dir(home.path("."));
        for (name, value) in [
            ("PATH", std::env::var("PATH").unwrap()),
            ("TERM", term.to_owned()),
        ] {
            command.env(name, value);
        }
        command
            .env("HOME", home.path("."))
            .env("PKI_HOME", home.home())
            .env("LC_ALL", "C.UTF-8");
        let options = Options::new().timeout_ms(Some(PATIENCE.as_millis().try_into().unwrap()));
        Self {
            session: spawn_with_options(command, options).unwrap(),
            seen: String::new(),
        }
    }

    /// Waits until this is shown.
    #[track_caller]
    fn shows(&mut self, text: &str) {
        match self.session.exp_string(text) {
            Ok(before) => self.seen.push_str(&(before + text)),
            Err(error) => panic!("{text:?} is not shown: {error}\nbefore that: {}", self.seen),
        }
    }

    /// Waits until the terminal is in such a state: only then is the program reading, and nothing that is
    /// typed gets lost.
    #[track_caller]
    fn is(&self, state: impl Fn(LocalModes) -> bool) {
        let terminal = self.session.process().get_file_handle().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !state(tcgetattr(&terminal).unwrap().local_modes) {
            assert!(
                Instant::now() < deadline,
                "the terminal does not change: {}",
                self.seen
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for a prompt and types a secret, which must not be shown.
    #[track_caller]
    fn secret(&mut self, prompt: &str, secret: &str) {
        self.shows(prompt);
        self.is(|modes| !modes.contains(LocalModes::ECHO));
        self.session.send_line(secret).unwrap();
    }

    /// Waits for a question, and types.
    #[track_caller]
    fn answer(&mut self, question: &str, line: &str) {
        self.shows(question);
        self.session.send(line).unwrap();
        self.session.flush().unwrap();
    }

    /// Waits for a question that is answered key by key, and answers it.
    #[track_caller]
    fn choose(&mut self, question: &str, keys: &str) {
        self.shows(question);
        self.is(|modes| !modes.contains(LocalModes::ICANON));
        self.session.send(keys).unwrap();
        self.session.flush().unwrap();
    }

    /// Presses Ctrl-C.
    fn interrupt(&mut self) {
        self.session.send_control('c').unwrap();
    }

    /// Waits for the end; everything that was shown, if the exit code is this one.
    #[track_caller]
    fn ends(mut self, code: i32) -> String {
        self.shows("ended ");
        let rest = self
            .session
            .exp_eof()
            .unwrap_or_else(|error| panic!("it does not end: {error}: {}", self.seen));
        self.seen.push_str(&rest);
        assert_eq!(rest.trim(), code.to_string(), "{}", self.seen);
        for secret in [ISSUING_PASSPHRASE, ROOT_PASSPHRASE] {
            assert!(
                !self.seen.contains(secret),
                "a passphrase was shown: {}",
                self.seen
            );
        }
        self.seen
    }
}

fn lived_in() -> Home {
    let home = Home::new();
    home.issue("alice", &["-q"]);
    home
}

fn read(home: &Home, file: &str) -> String {
    std::fs::read_to_string(home.path(file)).unwrap()
}

fn ledger(home: &Home) -> Vec<u8> {
    std::fs::read(home.home().join("ledger.jsonl")).unwrap()
}

/// The passphrases in a text that look like generated ones: five groups of four.
fn generated(text: &str) -> Vec<String> {
    let group =
        |word: &str| word.len() == 4 && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let words = text.split_whitespace();
    words
        .filter(|word| word.split('-').count() == 5 && word.split('-').all(group))
        .map(str::to_owned)
        .collect()
}

const INIT: &str = "pki init --org 'Acme Ltd' --domain acme.example >out 2>err";

#[test]
fn init_asks_twice_for_each_passphrase_until_they_fit() {
    let home = Home::unfounded();
    let mut terminal = Terminal::start(&home, "xterm", INIT);
    terminal.secret(
        "New passphrase for the root key (12 characters or more)",
        ROOT_PASSPHRASE,
    );
    terminal.secret("The same again", "root: marble-lantern-thicket-43");
    terminal.shows("pki: they differ; once more");
    terminal.secret("New passphrase for the root key", "too short");
    terminal.shows("the passphrase of the root key has 9 characters: 12 or more are needed");
    terminal.secret("New passphrase for the root key", ROOT_PASSPHRASE);
    terminal.secret("The same again", ROOT_PASSPHRASE);
    terminal.secret("New passphrase for the issuing key", ISSUING_PASSPHRASE);
    terminal.secret("The same again", ISSUING_PASSPHRASE);
    let seen = terminal.ends(0);
    assert!(!seen.contains("too short"), "{seen}");
    assert_eq!(seen.matches("The same again").count(), 3, "{seen}");
    for (key, passphrase) in [
        ("root/root.key", ROOT_PASSPHRASE),
        ("issuing/issuing.key", ISSUING_PASSPHRASE),
    ] {
        let secret = format!("pass:{passphrase}");
        let key = home.home().join(key);
        if need(&["openssl"]) {
            home.foreign(
                "openssl",
                &["pkey", "-noout", "-in", key.to_str().unwrap(), "-passin", &secret],
            )
            .ok();
        }
    }
    for file in files_below(&home.home()) {
        let text = String::from_utf8_lossy(&std::fs::read(home.home().join(&file)).unwrap()).into_owned();
        assert!(
            !text.contains(ROOT_PASSPHRASE) && !text.contains(ISSUING_PASSPHRASE),
            "{file}"
        );
    }
}

#[test]
fn init_asks_again_for_a_passphrase_that_both_keys_would_have() {
    let home = Home::unfounded();
    let mut terminal = Terminal::start(&home, "xterm", INIT);
    terminal.secret("New passphrase for the root key", ROOT_PASSPHRASE);
    terminal.secret("The same again", ROOT_PASSPHRASE);
    terminal.secret("New passphrase for the issuing key", ROOT_PASSPHRASE);
    terminal.shows("that is the root key's passphrase: choose another for every day");
    terminal.secret("New passphrase for the issuing key", ISSUING_PASSPHRASE);
    terminal.secret("The same again", ISSUING_PASSPHRASE);
    terminal.ends(0);
    assert!(home.home().join("ledger.jsonl").exists());
}

#[test]
fn a_generated_passphrase_is_shown_once_on_the_terminal_and_nowhere_else() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    let mut terminal = Terminal::start(&home, "xterm", "pki issue alice >out 2>err");
    terminal.secret("Passphrase of the issuing key", ISSUING_PASSPHRASE);
    let seen = terminal.ends(0);
    let shown = generated(&seen);
    assert_eq!(shown.len(), 1, "{seen}");
    let elsewhere: Vec<String> = files_below(&home.path("."))
        .into_iter()
        .filter(|file| String::from_utf8_lossy(&std::fs::read(home.path(file)).unwrap()).contains(&shown[0]))
        .collect();
    assert_eq!(elsewhere, [""; 0], "the passphrase lies in files");
    let passphrase = home.write_private("passphrase", &shown[0]);
    let p12 = home.path("alice-phone.p12");
    home.opened(&Bundle {
        files: vec![p12.clone()],
        p12,
        passphrase,
        serial: String::new(),
    });
}

/// The secret that is typed into the page, and the passphrase of the file: once, and on the terminal alone.
#[test]
fn an_invite_with_a_bundle_shows_what_is_typed_and_what_opens_it() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::with_server();
    home.configure("host", &format!("\"{HOST}\""));
    let script = "pki invite create alice --server-key >out.txt 2>err";
    let mut terminal = Terminal::start(&home, "xterm", script);
    terminal.secret("Passphrase of the issuing key", ISSUING_PASSPHRASE);
    let seen = terminal.ends(0);
    let [passphrase] = generated(&seen).try_into().unwrap_or_else(|_| panic!("{seen}"));
    let mut typed = seen.lines().map(str::trim);
    let typed = typed.find(|line| line.split('-').count() == 7 && line.len() == 32);
    let secret = typed.unwrap_or_else(|| panic!("{seen}")).replace('-', "");
    assert!(seen.contains(&format!("#{secret}.")), "{seen}");
    for file in ["out.txt", "err"] {
        let told = read(&home, file);
        assert!(!told.contains(&secret) && !told.contains(&passphrase), "{told}");
    }
    let [kept] = <[String; 1]>::try_from(files_below(&home.home().join("handout"))).unwrap();
    let p12 = home.home().join("handout").join(kept);
    let passphrase = home.write_private("word", &passphrase);
    home.opened(&Bundle {
        files: vec![p12.clone()],
        p12,
        passphrase,
        serial: String::new(),
    });
}

#[test]
fn the_passphrases_of_a_list_stand_in_columns() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    home.write_private("people", "employee,device\nbo,phone\nbartholomew,laptop\n");
    let mut terminal = Terminal::start(&home, "xterm", "pki issue --from people --out out >out.txt 2>err");
    terminal.secret("Passphrase of the issuing key", ISSUING_PASSPHRASE);
    let seen = terminal.ends(0);
    let shown = generated(&seen);
    assert_eq!(shown.len(), 2, "{seen}");
    for line in [
        "DEVICE              PASSPHRASE OF THE BUNDLE, SHOWN ONLY NOW".to_owned(),
        format!("bo/phone            {}", shown[0]),
        format!("bartholomew/laptop  {}", shown[1]),
    ] {
        assert_eq!(
            seen.lines().filter(|seen| seen.trim_end() == line).count(),
            1,
            "{line}: {seen}"
        );
    }
}

#[test]
fn passphrases_of_more_than_a_handful_are_shown_to_who_wants_to_write_them_down() {
    let home = Home::new();
    let rows: String = (0..6).map(|number| format!("user{number},phone\n")).collect();
    home.write_private("people", &format!("employee,device\n{rows}"));
    let before = ledger(&home);
    let mut terminal = Terminal::start(&home, "xterm", "pki issue --from people");
    terminal.answer("This shows 6 passphrases once", "n\r");
    let seen = terminal.ends(4);
    assert!(seen.contains("into this directory"), "{seen}");
    assert!(seen.contains("--out bundles --bundle-passphrase-out"), "{seen}");
    assert_eq!(ledger(&home), before);
    // A handful is not asked about, nor is what goes to a file.
    home.write_private("few", "employee,device\nuser0,phone\n");
    let script =
        "pki issue --from few --out out && pki issue --from people --out out --bundle-passphrase-out list";
    let mut terminal = Terminal::start(&home, "xterm", script);
    terminal.secret("Passphrase of the issuing key", ISSUING_PASSPHRASE);
    terminal.secret("Passphrase of the issuing key", ISSUING_PASSPHRASE);
    let seen = terminal.ends(0);
    assert!(!seen.contains("Go on?"), "{seen}");
}

#[test]
fn a_slip_near_somebody_known_is_a_question() {
    let home = lived_in();
    let before = ledger(&home);
    for (typed, question) in [
        (
            "alcie",
            "alcie is new here, and alice is not: is alcie meant? [y/N]",
        ),
        (
            "alice/phnoe",
            "alice/phnoe is new here, and alice/phone is not: is alice/phnoe meant?",
        ),
    ] {
        let mut terminal = Terminal::start(&home, "xterm", &format!("pki issue {typed}"));
        terminal.answer(question, "n\r");
        terminal.ends(4);
        assert_eq!(ledger(&home), before);
    }
    let mut terminal = Terminal::start(&home, "xterm", "pki issue alcie >out");
    terminal.answer("is alcie meant?", "y\r");
    terminal.secret("Passphrase of the issuing key", ISSUING_PASSPHRASE);
    terminal.ends(0);
}

#[test]
fn a_wrong_passphrase_may_be_typed_again() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    let mut terminal = Terminal::start(&home, "xterm", "pki issue alice >out");
    terminal.secret("Passphrase of the issuing key", "quite another secret");
    terminal.shows("pki: that is not the passphrase; once more");
    terminal.secret("Passphrase of the issuing key", ISSUING_PASSPHRASE);
    let seen = terminal.ends(0);
    assert!(
        !seen.contains("quite another secret") && generated(&seen).len() == 1,
        "{seen}"
    );
}

#[test]
fn three_wrong_passphrases_are_enough() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    let before = ledger(&home);
    let mut terminal = Terminal::start(&home, "xterm", "pki issue alice >out");
    for wrong in ["one that is wrong", "two that is wrong"] {
        terminal.secret("Passphrase of the issuing key", wrong);
        terminal.shows("pki: that is not the passphrase; once more");
    }
    terminal.secret("Passphrase of the issuing key", "three that is wrong");
    let seen = terminal.ends(4);
    assert!(
        seen.contains("issuing.key does not open with this passphrase"),
        "{seen}"
    );
    assert!(!seen.contains("that is wrong"), "{seen}");
    assert_eq!(ledger(&home), before);
    assert!(
        generated(&seen).is_empty() && !home.path("alice-phone.p12").exists(),
        "{seen}"
    );
}

#[test]
fn messages_fit_the_terminal_and_commands_stay_whole() {
    if !need(&["openssl"]) {
        return;
    }
    let home = lived_in();
    let long = "d".repeat(70);
    let nowhere = format!("list --home {long}");
    std::fs::create_dir(home.path(&long)).unwrap();
    for (columns, fits, command, code) in [
        (34, 34, "issue alice", 1),
        (48, 48, "issue alice --for nokia", 2),
        (220, 100, nowhere.as_str(), 1),
    ] {
        let script = format!("stty cols {columns}; pki {command}");
        let seen = Terminal::start(&home, "xterm", &script).ends(code);
        let shown = console::strip_ansi_codes(&seen).replace("\u{e2}\u{86}\u{92}", "→");
        let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
        assert!(lines.iter().all(|line| line.chars().count() <= fits), "{seen}");
        assert!(
            lines[0].starts_with("pki: ") && lines[1].starts_with("     "),
            "{seen}"
        );
        if command == "issue alice" {
            assert!(lines.contains(&"       `pki revoke alice/phone`"), "{seen}");
        }
    }
    // A script reads whole lines.
    let seen = Terminal::start(&home, "xterm", "stty cols 48; pki issue alice 2>err").ends(1);
    assert!(!seen.contains("pki:"), "{seen}");
    assert_eq!(read(&home, "err").lines().count(), 2, "{}", read(&home, "err"));
}

#[test]
fn a_line_that_is_copied_stays_in_one_piece() {
    let home = Home::unfounded();
    let script = "stty cols 60; pki init --org 'Acme Ltd' --domain acme.example --root-passphrase-file root-passphrase \
                  --passphrase-file issuing-passphrase";
    let seen = Terminal::start(&home, "xterm", script).ends(0);
    let whole = |line: &str| {
        line.contains("17 */6 * * *  PKI_PASSPHRASE_FILE=")
            && line.trim_end().ends_with(" publish --no-input --unlock -q")
    };
    assert!(seen.lines().any(whole), "{seen}");
}

#[test]
fn nobody_types_a_passphrase_for_what_will_be_refused() {
    if !need(&["openssl"]) {
        return;
    }
    let home = lived_in();
    let seen = Terminal::start(&home, "xterm", "pki issue alice").ends(1);
    assert!(seen.contains("alice/phone has a valid certificate"), "{seen}");
    assert!(!seen.contains("Passphrase of"), "{seen}");
}

#[test]
fn revoke_asks_and_no_is_no() {
    if !need(&["openssl"]) {
        return;
    }
    let before = lived_in();
    for keys in ["n\r", "\r", "maybe\r", "not yet\r"] {
        let home = copy_of(&before);
        let mut terminal = Terminal::start(&home, "xterm", "pki revoke alice");
        terminal.answer("Revoke alice/phone (lost)? [y/N]", keys);
        let seen = terminal.ends(4);
        assert!(seen.contains("answered with no; nothing was changed"), "{seen}");
        assert_eq!(ledger(&home), ledger(&before));
    }
    let mut terminal = Terminal::start(&before, "xterm", "pki revoke alice --reason stolen");
    terminal.answer("Revoke alice/phone (stolen)? [y/N]", "y\r");
    terminal.secret("Passphrase of the issuing key", ISSUING_PASSPHRASE);
    let seen = terminal.ends(0);
    assert!(seen.contains("alice/phone is revoked"), "{seen}");
    assert_ne!(read(&before, "home/server/revoked.map"), "");
}

#[test]
fn offboard_wants_the_name_typed() {
    if !need(&["openssl"]) {
        return;
    }
    let home = lived_in();
    let before = ledger(&home);
    // `--yes` does not answer it.
    for typed in ["alicia\r", "\r", "y\r"] {
        let mut terminal = Terminal::start(&home, "xterm", "pki offboard alice --yes");
        terminal.answer(
            "This revokes 1 certificate of alice. Type \"alice\" to go on",
            typed,
        );
        let seen = terminal.ends(4);
        assert!(
            seen.contains("\"alice\" was not confirmed; nothing was changed"),
            "{seen}"
        );
        assert_eq!(ledger(&home), before);
    }
    let mut terminal = Terminal::start(&home, "xterm", "pki offboard alice");
    terminal.answer("Type \"alice\" to go on", "alice\r");
    terminal.secret("Passphrase of the issuing key", ISSUING_PASSPHRASE);
    let seen = terminal.ends(0);
    assert!(seen.contains("alice is offboarded"), "{seen}");
}

#[test]
fn one_of_several_devices_is_chosen() {
    if !need(&["openssl"]) {
        return;
    }
    let home = lived_in();
    home.issue("alice/tablet", &["-q"]);
    let mut terminal = Terminal::start(&home, "xterm", "pki revoke alice --yes");
    // The second, by the arrow down.
    terminal.choose("Which device of alice?", "\x1b[B\r");
    terminal.secret("Passphrase of the issuing key", ISSUING_PASSPHRASE);
    terminal.shows("alice/tablet is revoked");
    terminal.ends(0);
    let said = home.run(&["list", "--status", "valid", "--json"]).json();
    assert_eq!(said["devices"][0]["address"], "alice/phone", "{said}");
    assert_eq!(said["devices"].as_array().unwrap().len(), 1, "{said}");
}

/// Interrupts the program at some prompt, and demands the terminal as it was.
#[track_caller]
fn interrupted(home: &Home, command: &str, at: impl FnOnce(&mut Terminal)) {
    let before = ledger(home);
    let script = format!("stty -a >before; {command}; code=$?; stty -a >after; (exit $code)");
    let mut terminal = Terminal::start(home, "xterm", &script);
    at(&mut terminal);
    terminal.interrupt();
    let seen = terminal.ends(130);
    assert_eq!(read(home, "after"), read(home, "before"));
    assert!(read(home, "after").contains(" echo "), "{}", read(home, "after"));
    let (hidden, shown) = (seen.rfind("\x1b[?25l"), seen.rfind("\x1b[?25h"));
    assert!(shown >= hidden, "the cursor stays hidden: {seen:?}");
    assert_eq!(ledger(home), before);
    // Nothing was begun that could be finished.
    assert!(
        seen.contains("interrupted; the same command asks again"),
        "{seen}"
    );
}

#[test]
fn an_interrupt_leaves_the_terminal_as_it_was() {
    if !need(&["openssl"]) {
        return;
    }
    let home = lived_in();
    home.issue("alice/tablet", &["-q"]);
    interrupted(&home, "pki issue bob", |terminal| {
        terminal.shows("Passphrase of the issuing key");
        terminal.is(|modes| !modes.contains(LocalModes::ECHO));
    });
    interrupted(&home, "pki revoke alice/phone", |terminal| {
        terminal.answer("Revoke alice/phone (lost)? [y/N]", "")
    });
    interrupted(&home, "pki revoke alice", |terminal| {
        terminal.choose("Which device of alice?", "")
    });
    interrupted(&home, "pki offboard alice", |terminal| {
        terminal.answer("to go on", "al")
    });
}

#[test]
fn a_dumb_terminal_will_do() {
    if !need(&["openssl"]) {
        return;
    }
    let home = lived_in();
    let mut terminal = Terminal::start(&home, "dumb", "pki issue bob --color auto");
    terminal.secret("Passphrase of the issuing key", ISSUING_PASSPHRASE);
    let seen = terminal.ends(0);
    assert_eq!(generated(&seen).len(), 1, "{seen}");
    assert!(
        !seen.contains("\x1b[3"),
        "colours for a terminal that has none: {seen:?}"
    );
    let mut terminal = Terminal::start(&home, "dumb", "pki revoke alice");
    terminal.answer("Revoke alice/phone (lost)? [y/N]", "yes\r");
    terminal.secret("Passphrase of the issuing key", ISSUING_PASSPHRASE);
    terminal.ends(0);
}

#[test]
fn nothing_is_asked_where_nothing_may_be_asked() {
    if !need(&["openssl"]) {
        return;
    }
    let home = lived_in();
    home.issue("alice/tablet", &["-q"]);
    let before = ledger(&home);
    for (command, code, message) in [
        (
            "pki --no-input issue bob",
            4,
            "there is no terminal to show the bundle's passphrase on",
        ),
        (
            "pki --json issue bob",
            4,
            "there is no terminal to show the bundle's passphrase on",
        ),
        (
            "pki --no-input issue bob --bundle-passphrase-out p",
            4,
            "the passphrase of the issuing key is missing",
        ),
        (
            "pki --json issue bob --bundle-passphrase-out p",
            4,
            "the passphrase of the issuing key is missing",
        ),
        (
            "pki --no-input revoke alice/phone",
            4,
            "a confirmation is missing: Revoke alice/phone (lost)?",
        ),
        (
            "pki --no-input offboard alice --yes",
            4,
            "a confirmation is missing: This revokes 2 certificates of alice.",
        ),
        (
            "pki --no-input revoke alice",
            1,
            "alice has several active devices: alice/phone, alice/tablet",
        ),
        (
            "pki --json revoke alice",
            1,
            "alice has several active devices: alice/phone, alice/tablet",
        ),
    ] {
        let seen = Terminal::start(&home, "xterm", command).ends(code);
        assert!(seen.contains(message), "{command}: {seen}");
        for prompt in [
            "Passphrase of the issuing key:",
            "Which device",
            "[y/N]",
            "to go on",
        ] {
            assert!(!seen.contains(prompt), "{command}: {seen}");
        }
        assert_eq!(ledger(&home), before, "{command}");
    }
}

#[test]
fn a_dumb_or_narrow_terminal_shows_each_question_once_and_plainly() {
    if !need(&["openssl"]) {
        return;
    }
    let home = lived_in();
    let mut terminal = Terminal::start(&home, "dumb", "stty cols 30; pki offboard alice");
    terminal.answer("Type \"alice\" to go on", "alice\r");
    terminal.secret("Passphrase of the issuing key", ISSUING_PASSPHRASE);
    let seen = terminal.ends(0);
    assert!(!seen.contains('\x1b'), "{seen:?}");
    assert_eq!(seen.matches("This revokes").count(), 1, "{seen}");
    assert_eq!(seen.matches("Passphrase of the issuing key").count(), 1, "{seen}");
}

#[test]
fn the_end_of_the_input_ends_a_question() {
    if !need(&["openssl"]) {
        return;
    }
    let home = lived_in();
    let before = ledger(&home);
    let mut terminal = Terminal::start(&home, "xterm", "pki issue bob >out");
    terminal.shows("Passphrase of the issuing key");
    terminal.is(|modes| !modes.contains(LocalModes::ECHO));
    terminal.session.send_control('d').unwrap();
    let seen = terminal.ends(4);
    assert!(
        seen.contains("nothing could be read from the terminal: the input has ended"),
        "{seen}"
    );
    assert_eq!(ledger(&home), before);
}

/// A server that says nothing is waited for: somebody who watches sees that, and for whom.
#[test]
fn a_check_that_takes_its_time_gives_a_sign_of_life() {
    let home = lived_in();
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    let command = format!("pki check https://127.0.0.1:{port}/ --no-canary");
    let mut terminal = Terminal::start(&home, "xterm", &command);
    terminal.shows("looking at 127.0.0.1");
}

/// A home with more devices than a terminal of 40 rows shows.
fn crowded() -> Home {
    let home = Home::new();
    let rows: String = (0..45).map(|number| format!("e{number},phone\n")).collect();
    home.write_private("people.csv", &format!("employee,device\n{rows}"));
    let issue = "issue --from people.csv --out bundles --bundle-passphrase-out passphrases -q";
    home.run(&issue.split(' ').collect::<Vec<_>>());
    home
}

#[test]
fn what_is_longer_than_the_terminal_goes_through_the_pager() {
    let home = crowded();
    let paged = |term: &str, script: &str| {
        let script = format!("export PAGER='cat >paged; echo was paged'; {script}");
        let seen = Terminal::start(&home, term, &script).ends(0);
        assert_eq!(seen.contains("was paged"), home.path("paged").exists(), "{seen}");
        let text = home.path("paged").exists().then(|| read(&home, "paged"));
        let _ = std::fs::remove_file(home.path("paged"));
        (text, seen)
    };
    for (script, last) in [
        ("pki list", "e9/phone"),
        ("pki audit", "issued"),
        ("pki issue --help", "pki issue --from people.csv"),
    ] {
        let (text, seen) = paged("xterm", script);
        let text = text.unwrap_or_else(|| panic!("{script}: {seen}"));
        assert!(
            text.contains(last) && !seen.contains(last),
            "{script}: {text}{seen}"
        );
    }
    for (term, script) in [
        ("xterm", "pki list e1"),
        ("xterm", "pki list --json"),
        ("xterm", "pki list --no-input"),
        ("xterm", "pki list </dev/null"),
        ("xterm", "pki list | cat"),
        ("xterm", "pki"),
        ("dumb", "pki list"),
        ("xterm", "stty rows 100; pki list"),
    ] {
        let (text, seen) = paged(term, &format!("{script}; true"));
        assert_eq!(text, None, "{script}: {seen}");
    }
    // One that is not there, and one that is none.
    for pager in ["no-such-pager", "cat", "", "false", "/usr", "'kill -9 $$'"] {
        let seen = Terminal::start(&home, "xterm", &format!("PAGER={pager} pki list")).ends(0);
        assert!(seen.contains("e9/phone"), "{pager}: {seen}");
    }
    // The exit code is the command's.
    let seen = Terminal::start(
        &home,
        "xterm",
        "PAGER='cat >paged' pki list --expiring 180d --check",
    )
    .ends(3);
    assert!(
        !seen.contains("e9/phone") && read(&home, "paged").contains("e9/phone"),
        "{seen}"
    );
}

#[test]
fn nobody_waits_for_a_person_who_reads() {
    let home = crowded();
    let secret = home.path("issuing-passphrase").display().to_string();
    // While the pager runs, somebody else locks a phone out; and what is pressed to end reading ends no more.
    // The pager ends by it at any time: there is no moment at which a shell has just started another program.
    let script = format!(
        "export PAGER='{PKI} revoke e1 --yes --no-input --wait 0s --passphrase-file {secret} && cat >paged && exec sleep 60'; pki list"
    );
    let mut terminal = Terminal::start(&home, "xterm", &script);
    terminal.shows("e1/phone is revoked");
    let until = Instant::now() + PATIENCE;
    while !std::fs::read_to_string(home.path("paged")).is_ok_and(|text| text.contains("e9/phone")) {
        assert!(Instant::now() < until, "it is not shown");
        std::thread::sleep(Duration::from_millis(20));
    }
    terminal.interrupt();
    let seen = terminal.ends(0);
    assert!(!seen.contains("interrupted"), "{seen}");
}
