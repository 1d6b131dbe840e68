//! What stands in place, and what is remembered beside it.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Stdio;

use pki::model::Span;
use pki::x509::crl::Terms;

use crate::forge::{Forge, now, root_terms, terms};
use crate::support::{Finished, finish, is_root, need, program, wait_until};

fn versions(forge: &Forge) -> usize {
    let entries = std::fs::read_dir(forge.path(".out.pki-fetch")).unwrap();
    entries
        .filter(|entry| entry.as_ref().unwrap().path().is_dir())
        .count()
}

/// A state with this change.
fn restate(forge: &Forge, change: impl FnOnce(&mut serde_json::Value)) {
    let path = forge.path(".out.pki-fetch/state.json");
    let mut state = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut state);
    std::fs::write(path, state.to_string()).unwrap();
}

fn runs(forge: &Forge) -> usize {
    std::fs::read_to_string(forge.path("runs"))
        .unwrap_or_default()
        .lines()
        .count()
}

const RUN: [&str; 2] = ["--exec", "echo run >> runs"];

#[test]
fn each_half_has_the_modes_of_its_readers_and_the_state_is_private() {
    for (number, directory_mode, file_mode) in [(1, 0o755, 0o644), (2, 0o750, 0o640)] {
        let forge = Forge::new();
        let publication = if number == 1 {
            forge.public(5)
        } else {
            forge.server(5)
        };
        forge.publish(&publication);
        forge.fetch(&[]).ok();
        assert!(forge.holds(&publication));
        let mode = |name: &str| std::fs::metadata(forge.path(name)).unwrap().mode() & 0o7777;
        assert_eq!(mode(".out.pki-fetch/state.json"), 0o600);
        assert_eq!(mode(".out.pki-fetch"), directory_mode);
        assert_eq!(mode("out"), directory_mode);
        for path in publication
            .files
            .keys()
            .map(String::as_str)
            .chain(["manifest.json", "manifest.jws"])
        {
            let path = format!("out/{path}");
            assert_eq!(mode(&path), file_mode, "{path}");
            let above = path.rsplit_once('/').unwrap().0;
            assert_eq!(mode(above), directory_mode, "{above}");
        }
    }
}

fn number_of(group: &str) -> u32 {
    let list = std::fs::read_to_string("/etc/group").unwrap();
    let mut fields = list.lines().map(|line| line.split(':'));
    let number = fields.find_map(|mut line| (line.next() == Some(group)).then(|| line.nth(1).unwrap()));
    number.unwrap().parse().unwrap()
}

/// Nothing of the publication is new: what is wished for is.
#[test]
fn a_group_or_mode_that_is_wished_for_later_comes_to_all_that_stands() {
    if !is_root() {
        return;
    }
    for half in [Forge::public, Forge::server] {
        let forge = Forge::new();
        let publication = half(&forge, 5);
        forge.publish(&publication);
        forge.fetch(&RUN).ok();
        let files: Vec<String> = publication
            .files
            .keys()
            .map(|path| format!("out/{path}"))
            .chain(["out/manifest.json".into(), "out/manifest.jws".into()])
            .collect();
        let of = |path: &str| std::fs::metadata(forge.path(path)).unwrap();
        let demand = |group: u32| {
            for path in [".out.pki-fetch", "out"]
                .into_iter()
                .chain(files.iter().map(String::as_str))
            {
                assert_eq!(of(path).gid(), group, "{path}");
                let above = path.rsplit_once('/').map_or("out", |(above, _)| above);
                assert_eq!(of(above).gid(), group, "{above}");
            }
        };
        let mode = of(&files[0]).mode();
        let mut told = 1;
        for group in ["daemon", "bin"] {
            let before = std::fs::canonicalize(forge.path("out")).unwrap();
            let arguments = [&RUN[..], &["--group", group]].concat();
            forge.fetch(&arguments).ok();
            demand(number_of(group));
            told += 1;
            assert_eq!(runs(&forge), told);
            // Who has the version before open reads what he read.
            let manifest = before.join("manifest.jws");
            assert_ne!(std::fs::metadata(manifest).unwrap().gid(), number_of(group));
            let now = std::fs::canonicalize(forge.path("out")).unwrap();
            let again = forge.fetch(&arguments).ok();
            assert!(again.stderr.contains("nothing has changed"), "{again}");
            assert_eq!(std::fs::canonicalize(forge.path("out")).unwrap(), now);
        }
        std::fs::set_permissions(forge.path(&files[0]), Permissions::from_mode(0o600)).unwrap();
        forge.fetch(&["--group", "bin"]).ok();
        assert_eq!(of(&files[0]).mode(), mode);
        // Where no group is named, the one that a file has is nobody's business.
        let now = std::fs::canonicalize(forge.path("out")).unwrap();
        forge.fetch(&[]).ok();
        assert_eq!(std::fs::canonicalize(forge.path("out")).unwrap(), now);
        demand(number_of("bin"));
    }
}

#[test]
fn a_group_gets_every_file_and_the_way_to_it() {
    // Only root may give a file to a group that it is not in.
    if !is_root() {
        return;
    }
    let forge = Forge::new();
    forge.publish(&forge.server(5));
    forge.fetch(&["--group", "daemon"]).ok();
    let number = number_of("daemon");
    for path in [".out.pki-fetch", "out", "out/devices.json", "out/manifest.jws"] {
        assert_eq!(
            std::fs::metadata(forge.path(path)).unwrap().gid(),
            number,
            "{path}"
        );
    }
    let said = forge.fetch(&["--group", "no-such-group"]).exits(1);
    assert!(said.stderr.contains("there is no group no-such-group"), "{said}");
}

#[test]
fn where_nothing_has_changed_nothing_is_touched_and_nothing_run() {
    let forge = Forge::new();
    forge.publish(&forge.public(5));
    let first = forge.fetch(&RUN).ok();
    assert_eq!((first.stdout.as_str(), runs(&forge)), ("public 5\n", 1));
    let before = forge.traces();
    let again = forge.fetch(&RUN).ok();
    assert_eq!((again.stdout.as_str(), runs(&forge)), ("", 1), "{again}");
    assert_eq!(forge.traces(), before);
}

#[test]
fn a_new_publication_takes_the_place_whole_and_the_last_one_stays_for_who_has_it_open() {
    let forge = Forge::new();
    let mut open = Vec::new();
    for number in 5..9 {
        forge.publish(&forge.public(number));
        forge.fetch(&RUN).ok();
        assert!(forge.holds(&forge.public(number)));
        open.push(forge.path("out").canonicalize().unwrap());
    }
    assert_eq!(runs(&forge), 4);
    assert_eq!(versions(&forge), 2);
    let whole =
        |at: usize| open[at].join("crl/issuing.crl").exists() && open[at].join("manifest.jws").exists();
    assert!(!open[1].exists() && whole(2) && whole(3));
    // What did not change is the same file in both.
    let inode = |at: usize, file: &str| std::fs::metadata(open[at].join(file)).unwrap().ino();
    assert_eq!(inode(2, "ca/root.crt"), inode(3, "ca/root.crt"));
    assert_ne!(inode(2, "crl/issuing.crl"), inode(3, "crl/issuing.crl"));
}

#[test]
fn a_manifest_with_the_same_files_runs_nothing() {
    let forge = Forge::new();
    forge.publish(&forge.server(5));
    forge.fetch(&RUN).ok();
    forge.publish(&forge.server(6));
    let said = forge.fetch(&[&RUN[..], &["--json"]].concat()).ok().json();
    assert_eq!((said["number"].as_u64(), runs(&forge)), (Some(6), 1), "{said}");
    assert_eq!(said["changed"], serde_json::json!([]));
}

#[test]
fn what_somebody_has_changed_or_removed_in_place_is_put_right() {
    let forge = Forge::new();
    let publication = forge.public(5);
    forge.publish(&publication);
    forge.fetch(&[]).ok();
    for damage in [
        "rm out/crl/issuing.crl",
        "echo x > out/ca/bundle.pem",
        "rm out",
        "rm -r out/",
        "touch out/crl/root.pem",
    ] {
        let mut shell = program("sh");
        finish(shell.args(["-c", damage]).current_dir(forge.path("")), b"");
        let said = forge.fetch(&RUN).ok();
        assert!(forge.holds(&publication), "{damage}: {said}");
    }
    // Nothing was wrong with what a touch had touched: nobody was told to read it again.
    assert_eq!(runs(&forge), 4);
}

#[test]
fn strays_are_not_carried_over() {
    let forge = Forge::new();
    forge.publish(&forge.public(5));
    forge.fetch(&[]).ok();
    std::fs::write(forge.path("out/stray"), "x").unwrap();
    forge.publish(&forge.public(6));
    forge.fetch(&[]).ok();
    assert!(forge.holds(&forge.public(6)));
}

#[test]
fn an_older_publication_stays_refused_where_the_directory_is_gone() {
    let forge = Forge::new();
    forge.publish(&forge.public(5));
    forge.fetch(&[]).ok();
    std::fs::remove_file(forge.path("out")).unwrap();
    forge.publish(&forge.public(4));
    let said = forge.fetch(&[]).exits(1);
    assert!(said.stderr.contains("5 was seen already"), "{said}");
    assert!(!forge.path("out").exists());
}

#[test]
fn a_state_that_cannot_be_read_is_an_error_and_no_first_time() {
    for (damage, why) in [
        ("rm .out.pki-fetch/state.json", "state.json is missing"),
        ("echo > .out.pki-fetch/state.json", "state.json cannot be read"),
        (
            "echo '{}' > .out.pki-fetch/state.json",
            "state.json cannot be read",
        ),
        (
            "sed -i 's/\"version\": 1/\"version\": 2/' .out.pki-fetch/state.json",
            "state.json is of version 2",
        ),
        ("rm -r .out.pki-fetch", "state.json is missing"),
    ] {
        let forge = Forge::new();
        forge.publish(&forge.public(5));
        forge.fetch(&[]).ok();
        let mut shell = program("sh");
        finish(shell.args(["-c", damage]).current_dir(forge.path("")), b"").ok();
        let said = forge.fetch(&[]).exits(1);
        assert!(said.stderr.contains(why), "{damage}: {said}");
        let said = forge.fetch(&["--json"]).exits(1);
        let error: serde_json::Value = serde_json::from_str(&said.stderr).unwrap();
        assert_eq!(
            (error["error"]["kind"].as_str(), said.stdout.as_str()),
            (Some("state"), "")
        );
    }
}

/// The publication of then would pass for a new one, and what came since for nothing.
#[test]
fn a_state_that_was_restored_from_a_backup_is_an_error() {
    let forge = Forge::new();
    let state = forge.path(".out.pki-fetch/state.json");
    let take = |number| {
        forge.publish(&forge.public(number));
        forge.fetch(&[]).ok();
        std::fs::read(&state).unwrap()
    };
    let (older, newer) = (take(5), take(6));
    std::fs::write(&state, older).unwrap();
    for number in [5, 6, 7] {
        forge.publish(&forge.public(number));
        let before = forge.traces();
        let said = forge.fetch(&[]).exits(1);
        assert!(
            said.stderr.contains("state.json is older than what is in place"),
            "{said}"
        );
        assert_eq!(forge.traces(), before);
    }
    std::fs::write(&state, newer).unwrap();
    forge.fetch(&[]).ok();
}

#[test]
fn a_place_that_has_something_else_in_it_is_left_alone() {
    let forge = Forge::new();
    forge.publish(&forge.public(5));
    std::fs::create_dir(forge.path("elsewhere")).unwrap();
    let out = forge.path("out");
    let refused = |why: &str| {
        let said = forge.fetch(&[]).exits(1);
        assert!(said.stderr.contains(why), "{why}: {said}");
    };
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("precious"), "x").unwrap();
    refused("out is a directory with something in it that `pki fetch` did not put there");
    assert!(out.join("precious").exists());
    std::fs::remove_dir_all(&out).unwrap();
    for target in [
        "elsewhere",
        ".out.pki-fetch/../elsewhere",
        ".out.pki-fetch",
        "/etc",
    ] {
        symlink(target, &out).unwrap();
        refused("out is a link that `pki fetch` did not make");
        std::fs::remove_file(&out).unwrap();
    }
    std::fs::write(&out, "x").unwrap();
    refused("out is no directory");
    std::fs::remove_file(&out).unwrap();
    std::fs::create_dir(&out).unwrap();
    forge.fetch(&[]).ok();
    assert!(forge.holds(&forge.public(5)));
}

#[test]
fn a_home_is_no_place_to_fetch_into_and_nothing_that_a_fetch_sweeps_away() {
    let forge = Forge::new();
    forge.publish(&forge.public(5));
    let make_home = |at: &str| {
        std::fs::create_dir_all(forge.path(at)).unwrap();
        for file in ["ledger.jsonl", "pki.toml"] {
            std::fs::write(forge.path(at).join(file), "").unwrap();
        }
    };
    make_home("home");
    symlink("home", forge.path("link")).unwrap();
    let before = crate::support::files_below(&forge.path(""));
    for out in ["home/new", "home/new/deeper", "link/new", "home/../home/new"] {
        for more in [&[][..], &["--dry-run"]] {
            let said = finish(&mut forge.command_into(out, "source", more), b"");
            // A trial makes no directory, and says so first.
            let is_missing = out.ends_with("deeper") && !more.is_empty();
            let why = if is_missing {
                "does not exist"
            } else {
                "home, which is the home of a PKI"
            };
            assert!(said.code == Some(1) && said.stderr.contains(why), "{out}: {said}");
        }
    }
    assert_eq!(crate::support::files_below(&forge.path("")), before);
    forge.fetch(&[]).ok();
    make_home("out/crl/home");
    forge.publish(&forge.public(6));
    let said = forge.fetch(&[]).exits(1);
    assert!(
        said.stderr.contains("crl/home in it, which is the home of a PKI"),
        "{said}"
    );
    assert!(forge.path("out/crl/home/ledger.jsonl").exists());
    std::fs::rename(forge.path("out/crl/home"), forge.path("moved")).unwrap();
    forge.fetch(&[]).ok();
    assert!(forge.holds(&forge.public(6)));
}

#[test]
fn nothing_stays_behind_of_a_first_fetch_that_came_to_nothing() {
    let forge = Forge::new();
    forge.publish(&forge.public(5));
    std::fs::write(forge.path("taken"), "x").unwrap();
    std::fs::create_dir_all(forge.path("full/inner")).unwrap();
    symlink("elsewhere", forge.path("link")).unwrap();
    symlink(".lost.pki-fetch/5-0123456789ab", forge.path("lost")).unwrap();
    let before = listed(&forge);
    for (source, out) in [
        ("source", "taken"),
        ("source", "full"),
        ("source", "link"),
        ("source", "lost"),
        ("none", "new"),
        ("none", "new/public"),
        ("https://127.0.0.1:1/", "new/public"),
    ] {
        finish(&mut forge.command_into(out, source, &[]), b"").exits(1);
        assert_eq!(listed(&forge), before, "{source} {out}");
    }
    finish(&mut forge.command_into("new/public", "source", &[]), b"").ok();
    assert!(forge.path("new/public/manifest.jws").exists());
}

/// The names where the fetch is run.
fn listed(forge: &Forge) -> Vec<std::ffi::OsString> {
    let entries = std::fs::read_dir(forge.path("")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

#[test]
fn a_workspace_that_others_may_change_is_not_believed() {
    let forge = Forge::new();
    forge.publish(&forge.public(5));
    forge.fetch(&[]).ok();
    std::fs::set_permissions(forge.path(".out.pki-fetch"), Permissions::from_mode(0o775)).unwrap();
    let said = forge.fetch(&[]).exits(1);
    assert!(said.stderr.contains("others may change it (mode 0775)"), "{said}");
    std::fs::set_permissions(forge.path(".out.pki-fetch"), Permissions::from_mode(0o755)).unwrap();
    if std::os::unix::fs::chown(forge.path(".out.pki-fetch"), Some(1), None).is_ok() {
        let said = forge.fetch(&[]).exits(1);
        assert!(
            said.stderr.contains("it belongs to daemon, and this is root"),
            "{said}"
        );
    }
}

#[test]
fn a_command_that_fails_is_run_again_by_the_next_fetch_and_by_a_refused_one() {
    let forge = Forge::new();
    forge.publish(&forge.public(5));
    let command = "echo run >> runs; test -e mended";
    let said = forge.fetch(&["--exec", command]).exits(5);
    assert!(
        said.stderr
            .contains(&format!("out holds public 5, and `{command}` failed")),
        "{said}"
    );
    assert!(forge.holds(&forge.public(5)));
    let said = forge.fetch(&["--exec", command, "--json"]).exits(5);
    assert_eq!((said.json()["exec"].as_str(), runs(&forge)), (Some("failed"), 2));
    forge.fetch(&[]).ok();
    std::fs::write(forge.path("mended"), "").unwrap();
    // The source is gone: what is in place shall be read all the same.
    std::fs::rename(forge.path("source"), forge.path("away")).unwrap();
    forge.fetch(&["--exec", command]).exits(1);
    assert_eq!(runs(&forge), 3);
    forge.fetch(&["--exec", command]).exits(1);
    std::fs::rename(forge.path("away"), forge.path("source")).unwrap();
    forge.fetch(&["--exec", command]).ok();
    assert_eq!(runs(&forge), 3);
}

#[test]
fn what_came_without_a_command_is_acted_on_by_the_next_fetch_that_has_one() {
    let forge = Forge::new();
    forge.publish(&forge.public(5));
    // By hand, before there was a timer.
    forge.fetch(&[]).ok();
    forge.fetch(&[]).ok();
    let said = forge.fetch(&[&RUN[..], &["--json"]].concat()).ok().json();
    assert_eq!((said["exec"].as_str(), runs(&forge)), (Some("done"), 1), "{said}");
    forge.fetch(&RUN).ok();
    assert_eq!(runs(&forge), 1);
    // And by hand between two of its runs; the next one is refused, and what is in place is good.
    forge.publish(&forge.public(6));
    forge.fetch(&[]).ok();
    forge.publish(&forge.public(4));
    forge.fetch(&RUN).exits(1);
    assert_eq!(runs(&forge), 2);
}

#[test]
fn what_a_command_says_goes_to_stderr() {
    let forge = Forge::new();
    forge.publish(&forge.public(5));
    let said = forge.fetch(&["--json", "--exec", "echo said"]).ok();
    assert_eq!(said.json()["exec"], "done");
    assert!(said.stderr.contains("said"), "{said}");
}

#[test]
fn two_at_once_take_turns() {
    let forge = Forge::new();
    forge.publish(&forge.public(5));
    let mut slow = forge.command(&["--exec", "echo run >> runs; sleep 2"]);
    let mut slow = slow.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the first to run its command", || {
        (runs(&forge) > 0).then_some(())
    });
    let said = forge.fetch(&["--wait", "0s"]).exits(1);
    assert!(
        said.stderr.contains("another fetch into out is at work"),
        "{said}"
    );
    forge.fetch(&RUN).ok();
    assert!(
        slow.try_wait().unwrap().is_some_and(|status| status.success()),
        "the second did not wait"
    );
    assert_eq!(runs(&forge), 1);
}

#[test]
fn many_first_fetches_at_once_leave_one_whole_publication() {
    let forge = Forge::new();
    forge.publish(&forge.public(5));
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(|| forge.fetch(&RUN).ok())).collect();
        all.into_iter().for_each(|one| drop(one.join().unwrap()));
    });
    assert!(forge.holds(&forge.public(5)));
    assert_eq!((versions(&forge), runs(&forge)), (1, 1));
}

#[test]
fn a_trial_says_what_would_change_and_changes_nothing() {
    let forge = Forge::new();
    forge.publish(&forge.public(5));
    let said = forge
        .fetch(&[&RUN[..], &["--dry-run", "--json"]].concat())
        .ok()
        .json();
    assert_eq!(said["would"].as_array().unwrap().len(), 10, "{said}");
    assert!(forge.traces().is_empty());
    forge.fetch(&RUN).ok();
    forge.publish(&forge.public(6));
    let before = forge.traces();
    let said = forge
        .fetch(&[&RUN[..], &["--dry-run", "--json"]].concat())
        .ok()
        .json();
    assert_eq!(
        said["would"],
        serde_json::json!(["crl/issuing.crl", "crl/bundle.pem", "crl/issuing.pem"])
    );
    assert_eq!((forge.traces() == before, runs(&forge)), (true, 1));
    forge.publish(&forge.public(4));
    forge.fetch(&["--dry-run"]).exits(1);
}

/// A publication whose CRLs end after so many days.
fn ending(issuing_days: i64, root_days: i64) -> Forge {
    let forge = Forge::new();
    let terms = |terms: Terms, days| Terms {
        this_update: now() - Span::days(20),
        next_update: now() + Span::days(days),
        ..terms
    };
    let root_crl = forge.root.crl(terms(root_terms(1), root_days), &[]);
    let issuing_crl = forge
        .issuing
        .crl(terms(crate::forge::terms(5), issuing_days), &[]);
    forge.publish(&forge.public_with(5, &root_crl, &issuing_crl));
    forge
}

#[test]
fn a_crl_near_its_end_is_exit_3_and_one_line_each_time() {
    for (issuing, root, line) in [
        (9, 399, "the CRL of the issuing CA ends in"),
        (28, 119, "the CRL of the root CA ends in"),
    ] {
        let forge = ending(issuing, root);
        for _ in 0..2 {
            let said = forge.fetch(&["-q"]).exits(3);
            assert_eq!(said.stderr.lines().count(), 1, "{said}");
            assert!(said.stderr.contains(line), "{said}");
        }
        let said = forge.fetch(&["--json"]).exits(3).json();
        assert_eq!(said["ending"].as_array().unwrap().len(), 1, "{said}");
        // A source that is gone is the error; that the end is near is told beside it.
        std::fs::remove_dir_all(forge.path("source")).unwrap();
        let said = forge.fetch(&[]).exits(1);
        assert!(said.stderr.contains(line), "{said}");
    }
    let forge = ending(11, 121);
    forge.fetch(&[]).ok();
}

#[test]
fn what_has_ended_in_place_is_refused_although_nothing_has_changed() {
    if !need(&["faketime"]) {
        return;
    }
    let forge = Forge::new();
    forge.publish(&forge.public(5));
    forge.fetch(&[]).ok();
    let at = |offset: &str| -> Finished {
        let pki = forge.command(&[]);
        let mut faketime = program("faketime");
        faketime
            .args(["-f", offset])
            .arg(pki.get_program())
            .args(pki.get_args());
        finish(faketime.current_dir(forge.path("")), b"")
    };
    assert!(
        at("+20d")
            .exits(3)
            .stderr
            .contains("the CRL of the issuing CA ends in")
    );
    let said = at("+30d").exits(1);
    assert!(said.stderr.contains("manifest.jws: it ended on"), "{said}");
    assert!(
        said.stderr
            .contains("the CRL of the issuing CA in place ended on"),
        "{said}"
    );
}

#[test]
fn a_servers_half_ends_by_the_end_that_its_manifests_tell() {
    if !need(&["faketime"]) {
        return;
    }
    let forge = Forge::new();
    forge.publish(&forge.server(5));
    forge.fetch(&[]).ok();
    // Made anew a day before its end, with the same end: that is no new life.
    let end = terms(5).next_update;
    let made = end - Span::days(2);
    forge.publish(&forge.server(6).saying(|manifest| manifest.made = made));
    let pki = forge.command(&["--json"]);
    let mut faketime = program("faketime");
    faketime
        .args(["-f", "+28d"])
        .arg(pki.get_program())
        .args(pki.get_args());
    let said = finish(faketime.current_dir(forge.path("")), b"").exits(3);
    assert_eq!(said.json()["ending"][0]["what"], "the publication", "{said}");
}

#[test]
fn a_fetch_that_was_killed_before_the_swap_is_made_up_for() {
    let forge = Forge::new();
    forge.publish(&forge.public(5));
    forge.fetch(&RUN).ok();
    // As if the state had been written, and nothing after it.
    let link = forge.path("out").read_link().unwrap();
    forge.publish(&forge.public(6));
    forge.fetch(&RUN).ok();
    restate(&forge, |state| state["exec_pending"] = true.into());
    std::fs::remove_file(forge.path("out")).unwrap();
    symlink(link, forge.path("out")).unwrap();
    forge.fetch(&RUN).ok();
    assert!(forge.holds(&forge.public(6)));
    assert_eq!((runs(&forge), versions(&forge)), (3, 2));
}
