//! TAB in real shells: what the home knows is offered, and nothing is said where it cannot be read.

use std::path::Path;
use std::process::Command;

use rexpect::reader::Options;
use rexpect::session::spawn_with_options;

use crate::support::{Home, PKI, files_below, finish, found, need};

/// alice has a phone, bob a phone that is lost and a tablet, and there is a server.
fn lived_in() -> Home {
    let home = Home::new();
    for address in ["alice/phone", "bob/phone", "bob/tablet"] {
        home.issue(address, &["-q"]);
    }
    home.run(&["revoke", "bob/phone", "--yes", "-q"]);
    home.run(&["server", "add", "api.acme.example", "-q"]);
    home
}

/// What is offered for the last of these words; none where the script's own words are.
#[track_caller]
fn offered(home: &Home, words: &[&str]) -> Option<Vec<String>> {
    let told = finish(
        Command::new(PKI)
            .args(["complete", "--"])
            .args(words)
            .env("PKI_HOME", home.home()),
        b"",
    );
    assert_eq!(told.stderr, "", "{told}");
    match told.code {
        Some(0) => Some(told.stdout.lines().map(str::to_owned).collect()),
        _ => {
            told.exits(1);
            None
        }
    }
}

#[test]
fn a_word_is_completed_by_what_its_place_takes() {
    let home = lived_in();
    let devices = ["alice/phone", "bob/phone", "bob/tablet"];
    for (line, names) in [
        ("revoke ", &["alice/phone", "bob/tablet"][..]),
        ("revoke al", &["alice/phone"]),
        ("revoke --reason lost b", &["bob/tablet"]),
        ("revoke --yes --wait 5s b", &["bob/tablet"]),
        ("-y revoke b", &["bob/tablet"]),
        ("revoke -- b", &["bob/tablet"]),
        ("renew b", &["bob/tablet"]),
        ("issue b", &["bob/phone"]),
        ("show ", &devices),
        ("offboard ", &["alice", "bob"]),
        ("list --employee al", &["alice"]),
        ("list --employee=al", &["alice"]),
        ("list --employee = al", &["alice"]),
        ("issue alice --profile ", &["device"]),
        ("server rotate ", &["api.acme.example"]),
        ("server add ", &[]),
        ("pins show a", &["api.acme.example"]),
        ("config nginx ", &["api.acme.example"]),
        ("config nginx other.acme.example ", &["api.acme.example"]),
        ("revoke nobody", &[]),
        ("publish --keep ", &[]),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let names = names.iter().map(ToString::to_string).collect();
        assert_eq!(offered(&home, &words), Some(names), "{line}");
    }
    // Flags, commands and files are the script's and the shell's business. What is typed in confirmation is
    // typed.
    for line in [
        "rev",
        "revoke --re",
        "revoke --reason l",
        "issue --csr a",
        "show ./a",
        "offboard alice --confirm ",
        "nonsense a",
        "completions ",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(offered(&home, &words), None, "{line}");
    }
}

#[test]
fn completing_waits_for_nobody_and_leaves_nothing_behind() {
    let home = lived_in();
    let before = files_below(&home.home());
    // Whoever changes something has the lock.
    let lock = std::fs::File::open(home.home().join("lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(offered(&home, &["revoke", "al"]).unwrap(), ["alice/phone"]);
    drop(lock);
    assert_eq!(files_below(&home.home()), before);
    // The home that the line names is meant.
    let elsewhere = Home::unfounded();
    let named = home.home().display().to_string();
    for words in [
        &["--home", &named, "revoke", "al"][..],
        &[&format!("--home={named}"), "revoke", "al"],
    ] {
        assert_eq!(offered(&elsewhere, words).unwrap(), ["alice/phone"]);
    }
    // Where there is none, or none that makes sense, nothing is said.
    assert_eq!(offered(&elsewhere, &["revoke", "al"]).unwrap(), [""; 0]);
    std::fs::write(home.home().join("ledger.jsonl"), "nonsense\n").unwrap();
    assert_eq!(offered(&home, &["revoke", "al"]).unwrap(), [""; 0]);
}

/// What a command line is, in a shell in a terminal, once TAB was pressed behind each of these.
fn tab(home: &Home, shell: &str, arguments: &[&str], lines: &[(&str, &str)]) {
    let mut command = Command::new(found(shell).unwrap());
    let path = Path::new(PKI).parent().unwrap().display().to_string();
    command
        .args(arguments)
        .env_clear()
        .current_dir(home.path("."))
        .env("PATH", format!("{path}:{}", std::env::var("PATH").unwrap()))
        .env("HOME", home.path("."))
        .env("ZDOTDIR", home.path("."))
        .env("PKI_HOME", home.home())
        .env("TERM", "xterm")
        .env("LC_ALL", "C.UTF-8");
    let mut session = spawn_with_options(command, Options::new().timeout_ms(Some(30_000))).unwrap();
    session.exp_string("ready> ").unwrap();
    for (typed, becomes) in lines {
        // The line is not run: from its beginning on it is made the words of another command.
        session.send(&format!("{typed}\t\x01echo :\r")).unwrap();
        session.flush().unwrap();
        let shown = session.exp_string(&format!(":{becomes}\r\n"));
        assert!(
            shown.is_ok(),
            "{shell} {arguments:?}: {typed:?} is not {becomes:?}: {shown:?}"
        );
        session.exp_string("ready> ").unwrap();
    }
    // A shell at a terminal hears no SIGTERM, and would be waited for as long as an answer.
    session.send_line("exit").unwrap();
    session.exp_eof().unwrap();
    assert!(!home.path("RAN").exists(), "a file's name was run");
}

/// What everybody's shell makes of it.
const LINES: [(&str, &str); 8] = [
    ("pki revoke al", "pki revoke alice/phone"),
    ("pki revoke bob/", "pki revoke bob/tablet"),
    ("pki list --employee al", "pki list --employee alice"),
    ("pki list --employee=al", "pki list --employee=alice"),
    ("pki server rotate a", "pki server rotate api.acme.example"),
    ("pki offb", "pki offboard"),
    ("pki revoke alice --reas", "pki revoke alice --reason"),
    // A file's name is a name, and no command.
    ("pki issue --from pw", "pki issue --from pw$(touch RAN)x.csv"),
];

/// There are files of such names, which nobody wants to revoke.
fn with_script(shell: &str, place: &str) -> Home {
    let home = lived_in();
    let script = home.run(&["completions", shell]).stdout;
    let place = home.path(place);
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::write(place, script).unwrap();
    home.write_private("allfiles", "");
    home.write_private("nofiles", "");
    home.write_private("pw$(touch RAN)x.csv", "");
    home
}

#[test]
fn a_profile_of_a_strange_name_is_not_offered() {
    let home = lived_in();
    let own = home.home().join("templates/profiles");
    std::fs::create_dir_all(&own).unwrap();
    for name in ["guest", "zz$(touch RAN)", "a b", "*"] {
        std::fs::write(own.join(format!("{name}.toml")), "").unwrap();
    }
    let names = offered(&home, &["issue", "--profile", ""]).unwrap();
    assert_eq!(names, ["device", "guest"]);
}

#[test]
fn bash_completes_what_the_home_knows() {
    if !need(&["bash"]) {
        return;
    }
    let home = with_script("bash", ".local/share/bash-completion/completions/pki");
    let prompt = "PS1='ready> '; unset PROMPT_COMMAND; bind 'set enable-bracketed-paste off'";
    let script = ". ~/.local/share/bash-completion/completions/pki";
    home.write_private("plain", &format!("{prompt}\n{script}\n"));
    let no_file = [
        ("pki revoke nof", "pki revoke nof"),
        ("pki show allf", "pki show allfiles"),
    ];
    let lines = [&LINES[..], &no_file].concat();
    tab(&home, "bash", &["--rcfile", "plain", "-i"], &lines);
    // As distributions set it up: the script is found by its name when it is needed.
    let package = "/usr/share/bash-completion/bash_completion";
    if Path::new(package).exists() || std::env::var_os("CI").is_some_and(|ci| !ci.is_empty()) {
        home.write_private("package", &format!("{prompt}\n. {package}\n"));
        tab(&home, "bash", &["--rcfile", "package", "-i"], &lines);
    } else {
        eprintln!("skipped: bash-completion is not installed (`make test` installs it)");
    }
}

#[test]
fn zsh_completes_what_the_home_knows() {
    if !need(&["zsh"]) {
        return;
    }
    let home = with_script("zsh", ".zfunc/_pki");
    home.write_private(
        ".zshrc",
        "PS1='ready> '; unsetopt zle_bracketed_paste prompt_sp; unset zle_bracketed_paste\n\
         bindkey -e; fpath=(~/.zfunc $fpath); autoload -U compinit; compinit -u -D\n",
    );
    tab(&home, "zsh", &["-d", "-i"], &LINES);
}

#[test]
fn fish_completes_what_the_home_knows() {
    if !need(&["fish"]) {
        return;
    }
    let home = with_script("fish", ".config/fish/completions/pki.fish");
    for (typed, offered) in [
        ("pki revoke al", "alice/phone\n"),
        ("pki revoke b", "bob/tablet\n"),
        ("pki revoke nof", ""),
        ("pki list --employee al", "alice\n"),
        ("pki list --employee=al", "--employee=alice\n"),
        ("pki server rotate a", "api.acme.example\n"),
        (
            "pki offb",
            "offboard\tLock a person out: every certificate of every device, and nothing new until `--reissue`\n",
        ),
    ] {
        let mut command = crate::support::program("fish");
        let path = Path::new(PKI).parent().unwrap().display().to_string();
        command
            .args(["-c", &format!("complete -C '{typed}'")])
            .current_dir(home.path("."))
            .env("PATH", format!("{path}:{}", std::env::var("PATH").unwrap()))
            .env("HOME", home.path("."))
            .env_remove("XDG_CONFIG_HOME")
            .env("PKI_HOME", home.home());
        let told = finish(&mut command, b"").ok();
        assert_eq!(told.stdout, offered, "{typed}: {told}");
    }
}
