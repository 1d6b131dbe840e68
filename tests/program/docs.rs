//! The documentation, held against the program: what its pages tell a reader to type is typed, and must say
//! what they show.
//!
//! A fence of `sh` is run, in order, by one bash a page, in a terminal of its own and an empty directory; the
//! first command that fails ends the page. A fence of `text` right behind it is what the reader sees; `...`
//! alone on a line stands for any lines. Dates, serial numbers, hashes and passphrases are compared by their
//! form. Comments steer what a reader need not see:
//!
//! - `<!-- needs: nginx curl -->` foreign programs of the page; where one is missing the page is skipped, and
//!   in CI that fails.
//! - `<!-- test: COMMAND -->` is run as well.
//! - `<!-- not run: WHY -->` the next fence is not run.
//! - `<!-- names: HOST HOST -->` hosts that are this machine while the page runs.

#[path = "../../docs/generate-reference.rs"]
mod reference;

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use rexpect::reader::Options;
use rexpect::session::spawn_with_options;

use crate::support::{PKI, finish, is_root, need, program};

#[test]
fn the_commands_of_the_readme_do_what_it_shows() {
    run_page("README.md");
}

#[test]
fn the_tutorial_runs_as_written() {
    run_page("docs/tutorial.md");
}

#[test]
fn the_how_to_of_nginx_runs_as_written() {
    run_page("docs/how-to/nginx.md");
}

#[test]
fn the_way_from_the_two_commands_to_an_nginx_runs_as_written() {
    run_page("docs/how-to/own-nginx.md");
}

#[test]
fn the_how_to_of_node_runs_as_written() {
    run_page("docs/how-to/node.md");
}

#[test]
fn the_how_to_of_signed_requests_runs_as_written() {
    run_page("docs/how-to/signed-requests.md");
}

#[test]
fn the_how_to_of_shared_keys_runs_as_written() {
    run_page("docs/how-to/hmac.md");
}

#[test]
fn the_how_to_of_servers_that_order_runs_as_written() {
    run_page("docs/how-to/acme.md");
}

#[test]
fn the_how_to_of_wifi_runs_as_written() {
    run_page("docs/how-to/wifi.md");
}

#[test]
fn the_how_to_of_phones_that_enroll_themselves_runs_as_written() {
    run_page("docs/how-to/enroll.md");
}

#[test]
fn the_page_on_the_protocol_runs_as_written() {
    run_page("docs/protocol.md");
}

#[test]
fn the_how_to_of_check_runs_as_written() {
    run_page("docs/how-to/check.md");
}

#[test]
fn the_how_to_of_servers_keys_runs_as_written() {
    run_page("docs/how-to/server-keys.md");
}

#[test]
fn the_how_to_of_android_runs_as_written() {
    run_page("docs/how-to/android.md");
}

#[test]
fn the_how_to_of_ios_runs_as_written() {
    run_page("docs/how-to/ios.md");
}

#[test]
fn the_how_to_of_lists_runs_as_written() {
    run_page("docs/how-to/csv.md");
}

#[test]
fn the_how_to_of_a_lost_phone_runs_as_written() {
    run_page("docs/how-to/lost-phone.md");
}

#[test]
fn the_how_to_of_an_employee_who_leaves_runs_as_written() {
    run_page("docs/how-to/employee-leaves.md");
}

#[test]
fn the_how_to_of_the_timer_runs_as_written() {
    run_page("docs/how-to/timer.md");
}

#[test]
fn the_how_to_of_two_administrators_runs_as_written() {
    run_page("docs/how-to/two-administrators.md");
}

#[test]
fn the_how_to_of_moving_from_another_authority_runs_as_written() {
    run_page("docs/how-to/moving.md");
}

#[test]
fn the_how_to_of_a_laptop_that_is_gone_runs_as_written() {
    run_page("docs/how-to/laptop-gone.md");
}

#[test]
fn the_how_to_of_mqtt_runs_as_written() {
    run_page("docs/how-to/mqtt.md");
}

#[test]
fn the_how_to_of_buckets_runs_as_written() {
    run_page("docs/how-to/s3.md");
}

#[test]
fn the_how_to_of_servers_that_fetch_runs_as_written() {
    run_page("docs/how-to/fetch.md");
}

#[test]
fn the_how_to_of_a_restored_home_runs_as_written() {
    run_page("docs/how-to/restore.md");
}

#[test]
fn the_how_to_of_the_offline_root_runs_as_written() {
    run_page("docs/how-to/offline-root.md");
}

#[test]
fn the_page_on_files_runs_as_written() {
    run_page("docs/files.md");
}

#[test]
fn the_demo_shows_a_phone_that_enrolls_itself_in_a_browser() {
    if ["chromium", "chromedriver"].into_iter().all(is_installed) {
        demo("yes", "a headless Chromium");
    }
}

#[test]
fn the_demo_shows_a_phone_that_enrolls_itself_where_there_is_no_browser() {
    demo("no", "here curl");
}

/// Runs the demo, which ends where somebody is let in or locked out who must not be.
fn demo(browser: &str, by: &str) {
    if !["nginx", "curl", "openssl"].into_iter().all(is_installed) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        .arg(root().join("docs/demo.sh"))
        .env("DEMO_DIR", directory.path().join("demo"))
        .env("DEMO_PKI", env!("CARGO_BIN_EXE_pki"))
        .env("DEMO_BROWSER", browser)
        .output()
        .unwrap();
    let said = format!(
        "{}\n--- stderr\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{said}");
    let mut rest = said.as_str();
    for shown in [
        "Alice's phone: 200",
        "Alice's phone: 40",
        by,
        "Carol's phone: 200",
        "Carol's phone: 40",
        "Bob's phone: 200",
        "every link holds",
    ] {
        let at = rest.find(shown).unwrap_or_else(|| panic!("no {shown:?}: {said}"));
        rest = &rest[at..];
    }
}

#[test]
fn every_page_with_commands_is_run() {
    let this = std::fs::read_to_string(root().join("tests/program/docs.rs")).unwrap();
    for page in pages() {
        let runs = steps(&read(&page)).iter().any(|step| step.shown);
        assert!(
            !runs || this.contains(&format!("run_page(\"{page}\")")),
            "{page} has commands and no test"
        );
    }
}

#[test]
fn the_units_are_such_as_systemd_takes() {
    if !need(&["systemd-analyze"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut arguments = vec!["verify".to_owned()];
    for unit in std::fs::read_dir(root().join("docs/units")).unwrap() {
        let name = unit.unwrap().file_name().into_string().unwrap();
        let text = read(&format!("docs/units/{name}"));
        // A template is verified as one that is made of it; the program must be where it says.
        let place = directory.path().join(name.replace("@.", "@public."));
        std::fs::write(&place, text.replace("/usr/local/bin/pki", PKI)).unwrap();
        arguments.push(place.display().to_string());
    }
    assert!(arguments.len() > 8, "{arguments:?}");
    let said = finish(program("systemd-analyze").args(&arguments), b"");
    // A machine may have faults of its own, in units of its own.
    let ours = |line: &&str| line.contains("pki-") || line.contains(&directory.path().display().to_string());
    let faults: Vec<&str> = said.stderr.lines().filter(ours).collect();
    assert_eq!(faults, [""; 0], "{said}");
}

#[test]
fn the_reference_is_what_the_commands_say() {
    let written = read("docs/reference.md");
    assert!(
        written == reference::text(),
        "docs/reference.md is stale: run `make docs`"
    );
}

#[test]
fn the_page_on_files_has_every_code_of_doctor_and_no_other() {
    let parts = std::fs::read_dir(root().join("src/doctor")).unwrap();
    let files = parts.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let source: String = files.collect();
    let word = Regex::new(r#""([a-z]+(?:-[a-z]+)*)""#).unwrap();
    let no_codes = [
        "note",
        "warning",
        "error",
        "lowercase",
        "root",
        "ends",
        "ended",
        "event",
        "templates",
    ];
    let codes: BTreeSet<&str> = word
        .captures_iter(&source)
        .map(|found| found.get(1).unwrap().as_str())
        .filter(|word| !no_codes.contains(word))
        .collect();
    let page = read("docs/files.md");
    let (_, table) = page.split_once("## What doctor finds").unwrap();
    let code = Regex::new("`([a-z-]+)`").unwrap();
    let firsts: Vec<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(" |").next())
        .collect();
    let told: BTreeSet<String> = firsts
        .iter()
        .flat_map(|cell| {
            code.captures_iter(&format!("`{cell}"))
                .map(|found| found[1].to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(codes, told.iter().map(String::as_str).collect());
}

#[test]
fn the_page_on_files_has_every_code_of_check_and_no_other() {
    let source = read("src/check/findings.rs");
    let code = Regex::new(r#""([a-z0-9]+(?:-[a-z0-9]+)+|unclear)""#).unwrap();
    let codes: BTreeSet<&str> = code
        .captures_iter(&source)
        .map(|found| found.get(1).unwrap().as_str())
        .collect();
    assert!(codes.len() > 15, "{codes:?}");
    let page = read("docs/files.md");
    let (_, table) = page.split_once("## What check finds").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let firsts = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(codes, firsts.collect());
}

#[test]
fn the_page_on_the_protocol_has_every_kind_that_the_service_answers() {
    let source = sources_in("src/serve");
    let told = Regex::new(r#"(?:Told|Self)::new\(\s*StatusCode::[A-Z_]+,\s*"([a-z-]+)""#).unwrap();
    let denials = read("src/ca/enrollment/denial.rs");
    let denied = Regex::new(r#"Self::\w+(?:\(_\))?(?: \| Self::\w+)* => "([a-z-]+)""#).unwrap();
    let kinds: BTreeSet<&str> = told
        .captures_iter(&source)
        .chain(denied.captures_iter(&denials))
        .map(|found| found.get(1).unwrap().as_str())
        .collect();
    assert!(kinds.len() > 15, "{kinds:?}");
    let page = read("docs/protocol.md");
    for kind in kinds {
        assert!(page.contains(&format!("`{kind}`")), "{kind}");
    }
}

#[test]
fn the_page_on_acme_has_every_kind_that_the_service_answers_and_no_other() {
    let source = sources_in("src/serve/acme");
    let told = Regex::new(r#"StatusCode::[A-Z_]+,\s*"([a-zA-Z]+)""#).unwrap();
    let kinds: BTreeSet<&str> = told
        .captures_iter(&source)
        .map(|found| found.get(1).unwrap().as_str())
        .chain(["malformed"])
        .collect();
    assert!(kinds.len() > 15, "{kinds:?}");
    let page = read("docs/acme.md");
    let (_, table) = page.split_once("## Refusals").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let firsts: BTreeSet<&str> = rows
        .flat_map(|row| row.split('|').nth(1).unwrap().split(','))
        .map(|word| word.trim().trim_matches('`'))
        .collect();
    assert_eq!(kinds, firsts);
}

/// The files of a directory that have code, one after another.
fn sources_in(directory: &str) -> String {
    let parts = std::fs::read_dir(root().join(directory)).unwrap();
    let files = parts
        .map(|file| file.unwrap().path())
        .filter(|path| path.is_file());
    files.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn the_program_names_no_page_of_these() {
    // Whoever installed the program alone does not have them. The unit tests at the end of a file may read
    // them.
    let mut waiting = vec![root().join("src")];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(
                std::fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let program = text.lines().take_while(|line| *line != "mod tests {");
        for (number, line) in program.enumerate() {
            let comment = line.trim_start().starts_with("//");
            assert!(
                comment || !line.contains("docs/"),
                "{}:{}: {line}",
                path.display(),
                number + 1
            );
        }
    }
}

#[test]
fn links_lead_somewhere_and_lines_are_short() {
    let link = Regex::new(r"\]\(([^)#]+)(#[^)]*)?\)").unwrap();
    for page in pages() {
        let text = read(&page);
        let directory = root().join(&page).parent().unwrap().to_owned();
        for target in link.captures_iter(&text).map(|found| found[1].to_owned()) {
            let there = target.contains("://") || directory.join(&target).exists();
            assert!(there, "{page}: there is no {target}");
        }
        let mut shown = false;
        for (number, line) in text.lines().enumerate() {
            // What the program says has the length that it has.
            shown = line == "```text" || (shown && line != "```");
            let long = line.chars().count() > 120 && !shown;
            assert!(!long, "{page}:{}: longer than 120 characters: {line}", number + 1);
        }
    }
}

#[test]
fn a_page_whose_command_fails_is_noticed() {
    let page = "```sh\ntrue\n```\n```sh\nfalse\necho not reached\n```\n";
    assert!(outcome(page).unwrap_err().contains("ended with 1"));
}

#[test]
fn a_page_that_shows_something_else_is_noticed() {
    let page =
        |shown: &str| format!("```sh\necho good until 2026-01-31; echo end\n```\n\n```text\n{shown}\n```\n");
    assert_eq!(outcome(&page("good until 2031-12-01\nend")), Ok(()));
    assert_eq!(outcome(&page("...\nend")), Ok(()));
    assert!(
        outcome(&page("good until tomorrow\nend"))
            .unwrap_err()
            .contains("good until tomorrow")
    );
    assert!(outcome(&page("good until 2031-12-01")).is_err());
}

/// Something that is typed, and what it shows.
#[derive(Debug, PartialEq)]
struct Step {
    line: usize,
    script: String,
    output: Option<String>,
    /// Whether a reader sees it.
    shown: bool,
}

fn run_page(page: &str) {
    let text = read(page);
    let missing: Vec<String> = needs(&text)
        .into_iter()
        .filter(|program| !is_installed(program))
        .collect();
    if !missing.is_empty() {
        let ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
        assert!(!ci, "{page} needs {}, and this is CI", missing.join(", "));
        eprintln!(
            "skipped: {page} needs {} (`make test` installs it)",
            missing.join(", ")
        );
        return;
    }
    if let Err(why) = outcome(&text) {
        panic!("{page}:{why}");
    }
}

/// Runs the steps of a page. The error begins with the line of the step.
fn outcome(page: &str) -> Result<(), String> {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().canonicalize().unwrap();
    let bin = home.join(".bin");
    std::fs::create_dir(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_pki"), bin.join("pki")).unwrap();
    symlink(root().join("docs"), home.join("docs")).unwrap();
    // Pages name the ports 8443, 8444 and 8446; somebody else may be listening there.
    let listeners = [(); 3].map(|()| std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap());
    let ports = listeners
        .each_ref()
        .map(|listener| listener.local_addr().unwrap().port().to_string());
    drop(listeners);
    let page = ["8443", "8444", "8446"]
        .iter()
        .zip(&ports)
        .fold(page.to_owned(), |page, (named, free)| page.replace(named, free));
    let steps = steps(&page);

    let mut script = String::from(PROLOGUE);
    for (number, step) in steps.iter().enumerate() {
        script.push_str(&format!("printf '\\036{number}\\036\\n'\n{}", step.script));
    }
    let file = home.join(".bin/page.sh");
    std::fs::write(&file, script).unwrap();

    let names = named(&page, "names");
    let mut command = match names.is_empty() {
        true => Command::new("bash"),
        false => knowing(&names, &bin),
    };
    command
        .args(["--noprofile", "--norc"])
        .arg(&file)
        .current_dir(&home);
    command.env_clear();
    let path = std::env::var("PATH").unwrap_or_default();
    let tools = root().join(".venv/bin");
    command.env(
        "PATH",
        format!("{}:{path}:/usr/sbin:/sbin:{}", bin.display(), tools.display()),
    );
    for (name, value) in [
        ("LC_ALL", "C.UTF-8"),
        ("TZ", "UTC"),
        ("TERM", "dumb"),
        ("USER", "you"),
    ] {
        command.env(name, value);
    }
    command.env("HOME", &home);
    let options = Options::new()
        .timeout_ms(Some(180_000))
        .strip_ansi_escape_codes(true);
    let mut session = spawn_with_options(command, options).unwrap();
    let (seen, end) = match session.exp_regex("\u{1e}end [0-9]+\u{1e}") {
        Ok(found) => found,
        Err(error) => return Err(format!("1: it does not end: {error}")),
    };
    // rexpect gives every octet as a character of its own.
    let octets: Vec<u8> = seen
        .chars()
        .filter_map(|octet| u8::try_from(u32::from(octet)).ok())
        .collect();
    let seen = format!("{}\u{1e}", String::from_utf8_lossy(&octets).replace("\r\n", "\n"));

    let program = Path::new(env!("CARGO_BIN_EXE_pki")).canonicalize().unwrap();
    let common = |text: &str| {
        text.replace(program.to_str().unwrap(), "/usr/local/bin/pki")
            .replace(home.to_str().unwrap(), "/home/you")
    };
    for (number, step) in steps.iter().enumerate() {
        let Some((_, rest)) = seen.split_once(&format!("\u{1e}{number}\u{1e}\n")) else {
            break;
        };
        let saw = common(rest.split('\u{1e}').next().unwrap_or_default());
        let last = !seen.contains(&format!("\u{1e}{}\u{1e}\n", number + 1));
        if last && end != "\u{1e}end 0\u{1e}" {
            let code = end.trim_matches('\u{1e}').trim_start_matches("end ");
            return Err(format!(
                "{}: a command ended with {code}:\n{}--- it said\n{saw}",
                step.line, step.script
            ));
        }
        if let Some(shown) = &step.output
            && !is_alike(&forms(shown), &forms(&saw))
        {
            return Err(format!(
                "{}: the page shows\n{shown}--- and this is what it is\n{saw}",
                step.line
            ));
        }
    }
    Ok(())
}

/// The first command that fails ends the page; its servers end with it. One that the page has stopped takes
/// its file away meanwhile.
const PROLOGUE: &str = "\
finish() {
  status=$?
  for file in $(find \"$HOME\" -name '*.pid'); do kill \"$(cat \"$file\" 2>/dev/null)\" 2>/dev/null || true; done
  kill $(jobs -p) 2>/dev/null || true
  printf '\\036end %d\\036\\n' \"$status\"
}
trap finish EXIT
set -e -o pipefail
# No width: a page shows messages unbroken, whatever the width of its reader.
stty cols 0 rows 40 -echo
umask 022
";

/// Whether the lines are the same, where `...` stands for any number of them.
fn is_alike(shown: &[String], saw: &[String]) -> bool {
    match shown.split_first() {
        None => saw.is_empty(),
        Some((any, rest)) if any == "..." => (0..=saw.len()).any(|skip| is_alike(rest, &saw[skip..])),
        Some((line, rest)) => saw.first() == Some(line) && is_alike(rest, &saw[1..]),
    }
}

/// The lines of a text, with what differs from run to run replaced by its form.
fn forms(text: &str) -> Vec<String> {
    let forms = [
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|\+00:00)", "TIME"),
        (r"\b\d{4}-\d\d-\d\d\b", "DATE"),
        (r"\b([0-9A-F]{64}|[0-9a-f]{64})\b", "SHA256"),
        (r"\b[0-9A-F]{32}\b", "SERIAL"),
        (r"\b[0-9a-z]{4}(-[0-9a-z]{4}){4}\b", "PASSPHRASE"),
        (
            r"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE[A-Za-z0-9+/]{86}==",
            "PUBLIC-KEY",
        ),
        (r"[A-Za-z0-9+/]{43}=", "SPKI"),
        (r"[A-Za-z0-9_-]{43}\b", "THUMBPRINT"),
        (r"-[0-9a-f]{8}\.", "-SERIAL."),
        (r"\b\d{10}\b", "NUMBER"),
        (r"\b[0-9a-f]{16}\b", "ACCOUNT"),
        (r"\b[0-9A-HJKMNP-TV-Z]{8}\b", "INVITE"),
        (
            r"by \S+ \(uid \d+(, (sudo by|doas by|login of) \S+)*\)",
            "by SOMEBODY",
        ),
    ];
    let mut text = text.to_owned();
    for (pattern, name) in forms {
        text = Regex::new(pattern).unwrap().replace_all(&text, name).into_owned();
    }
    let mut lines: Vec<String> = text.lines().map(|line| line.trim_end().to_owned()).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// What a page has its reader type, in order.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut skip = false;
    // Whether the last fence was run, and nothing but empty lines has followed it.
    let mut fresh = false;
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let line = line.trim_start();
        if let Some(language) = line.strip_prefix("```") {
            let inside: Vec<&str> = lines
                .by_ref()
                .map(|(_, line)| line)
                .take_while(|line| line.trim() != "```")
                .collect();
            let inside: String = inside.iter().map(|line| format!("{line}\n")).collect();
            match (language, skip) {
                ("sh", false) => {
                    steps.push(Step {
                        line: number + 1,
                        script: inside,
                        output: None,
                        shown: true,
                    });
                    fresh = true;
                    continue;
                }
                ("text", _) if fresh => {
                    if let Some(step) = steps.last_mut() {
                        step.output = Some(inside);
                    }
                }
                _ => {}
            }
            skip = false;
        } else if let Some(script) = comment(line, "test") {
            steps.push(Step {
                line: number + 1,
                script: format!("{script}\n"),
                output: None,
                shown: false,
            });
        } else if comment(line, "not run").is_some() {
            skip = true;
        } else if line.is_empty() {
            continue;
        }
        fresh = false;
    }
    steps
}

fn comment<'a>(line: &'a str, kind: &str) -> Option<&'a str> {
    Some(
        line.strip_prefix("<!-- ")?
            .strip_suffix("-->")?
            .strip_prefix(kind)?
            .strip_prefix(": ")?
            .trim(),
    )
}

/// A bash for which these names are this machine, and for nobody else here.
fn knowing(names: &[String], bin: &Path) -> Command {
    let hosts = bin.join("hosts");
    std::fs::write(&hosts, format!("127.0.0.1 localhost {}\n", names.join(" "))).unwrap();
    let mut command = Command::new("unshare");
    if !is_root() {
        command.arg("--map-root-user");
    }
    command
        .args(["--mount", "sh", "-ec"])
        .arg("mount --bind \"$1\" /etc/hosts; shift; exec bash \"$@\"")
        .arg("sh")
        .arg(hosts);
    command
}

fn needs(page: &str) -> Vec<String> {
    named(page, "needs")
}

/// What the comments of this kind name.
fn named(page: &str, kind: &str) -> Vec<String> {
    let named = page.lines().filter_map(|line| comment(line, kind));
    named
        .flat_map(|names| names.split_whitespace().map(str::to_owned))
        .collect()
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .chain([root().join(".venv/bin")])
        .any(|directory| directory.join(program).is_file())
}

/// Every page, by its path from the top.
fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned(), "CHANGELOG.md".to_owned()];
    for directory in ["docs", "docs/how-to"] {
        for entry in std::fs::read_dir(root().join(directory)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") {
                pages.push(format!("{directory}/{name}"));
            }
        }
    }
    pages
}

fn read(page: &str) -> String {
    std::fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
