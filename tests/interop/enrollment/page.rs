//! The page in a real browser: from the link to a certificate, or to words that say what to do.

use std::path::PathBuf;

use data_encoding::BASE64;

use super::Serving;
use super::browser::{AGENTS, Browser, ENTER, TAB, TOOLS};
use crate::configured::{Kind, Running, publish_outside};
use crate::support::{Bundle, Home, need, wait_until};

/// The file that the browser has saved, and what is in it. An empty one holds the name while it is fetched.
fn downloaded(home: &Home) -> (PathBuf, Vec<u8>) {
    let file = home.path("downloads/device.p12");
    let octets = wait_until("the download", || {
        std::fs::read(&file).ok().filter(|octets| !octets.is_empty())
    });
    (file, octets)
}

/// The file that was saved, with the passphrase that was shown.
fn saved(browser: &Browser<'_>, home: &Home, serial: String) -> Bundle {
    let word = browser.text("word");
    let (p12, _) = downloaded(home);
    Bundle {
        files: vec![p12.clone()],
        p12,
        passphrase: home.write_private("word", &format!("{word}\n")),
        serial,
    }
}

#[test]
fn somebody_with_a_browser_and_a_keyboard_enrolls_and_gets_in() {
    if !need(&TOOLS) || !need(&["nginx", "certtool", "keytool", "pk12util", "certutil"]) {
        return;
    }
    let home = Home::with_server();
    publish_outside(Kind::Nginx, &home);
    let Some(serving) = Serving::of(home) else { return };
    let home = &serving.home;
    let invite = serving.invite(&["alice", "--name", "Alice Doe"]);
    let ledger = serving.ledger();
    let browser = Browser::start(home, 320, &[]);
    browser.open(invite.word("link"));
    // A program that opens links in mails runs scripts, and waits.
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(serving.ledger(), ledger);
    assert_eq!(
        browser.run("return document.documentElement.scrollWidth <= window.innerWidth"),
        true,
        "it does not fit a narrow screen"
    );
    browser.tab_to("go");
    browser.press(ENTER);
    wait_until("the certificate", || browser.is_shown("done").then_some(()));
    assert!(
        !browser
            .run("return location.hash")
            .as_str()
            .unwrap()
            .contains(invite.word("secret"))
    );
    browser.tab_to("copy");
    browser.tab_to("save");
    browser.press(ENTER);
    let serial = home.serial_of("alice/phone");
    let bundle = saved(&browser, home, serial.clone());
    drop(browser);

    // Every program that opens our own bundles opens it.
    let (p12, word) = (bundle.p12.display().to_string(), bundle.passphrase());
    let [leaf, chain, key] = home.opened(&bundle).map(|path| path.display().to_string());
    let said = home
        .foreign("openssl", &["x509", "-in", &leaf, "-noout", "-serial"])
        .ok();
    assert_eq!(said.stdout.trim(), format!("serial={serial}"));
    assert!(
        std::fs::read_to_string(&chain)
            .unwrap()
            .contains("BEGIN CERTIFICATE")
    );
    assert!(std::fs::read_to_string(&key).unwrap().contains("PRIVATE KEY"));
    home.foreign(
        "certtool",
        &["--p12-info", "--inder", "--infile", &p12, "--password", &word],
    )
    .ok();
    let said = home.foreign(
        "keytool",
        &[
            "-list",
            "-v",
            "-storetype",
            "PKCS12",
            "-keystore",
            &p12,
            "-storepass",
            &word,
        ],
    );
    assert!(said.ok().stdout.contains("Certificate chain length: 2"));
    std::fs::create_dir(home.path("nss")).unwrap();
    home.foreign("certutil", &["-N", "-d", "sql:nss", "--empty-password"])
        .ok();
    home.foreign("pk12util", &["-i", &p12, "-d", "sql:nss", "-W", &word])
        .ok();

    // And the real nginx lets it in, until it is revoked.
    wait_until("the servers' lists", || {
        serving.is_published(&serial).then_some(())
    });
    let running = Running::start(Kind::Nginx, home);
    running.server.lets_in(home, &bundle);
}

#[test]
fn an_iphone_is_asked_for_the_six_digits_and_a_second_one_is_told_that_it_came_second() {
    if !need(&TOOLS) {
        return;
    }
    let Some(serving) = Serving::start() else { return };
    let home = &serving.home;
    let invite = serving.invite(&["alice", "--for", "ios", "--code"]);
    let browser = Browser::start(home, 390, &[format!("--user-agent={}", AGENTS[0].1)]);
    browser.open(invite.word("link"));
    browser.tab_to("go");
    browser.press(ENTER);
    wait_until("the question", || browser.is_shown("digits").then_some(()));
    assert_eq!(browser.run("return document.activeElement.id"), "code");
    for digit in invite.word("code").chars() {
        browser.press(&digit.to_string());
    }
    browser.press(ENTER);
    wait_until("the certificate", || browser.is_shown("done").then_some(()));
    // Safari installs a profile from an address: the file is there, encrypted as it was made, and stays a
    // while.
    assert!(browser.is_shown("iphone") && !browser.is_shown("android"));
    let address = browser.run("return document.getElementById('save').getAttribute('href')");
    let address = address.as_str().unwrap();
    for _ in 0..2 {
        let (status, profile) = serving.ask(address, "include\n");
        assert!(
            status == 200 && profile.contains("content-type: application/x-apple-aspen-config"),
            "{profile}"
        );
        let (_, data) = profile.split_once("<data>").unwrap();
        let data = data.split_once("</data>").unwrap().0.replace("&#x2f;", "/");
        std::fs::write(home.path("device.p12"), BASE64.decode(data.as_bytes()).unwrap()).unwrap();
    }
    let word = home.write_private("word", &format!("{}\n", browser.text("word")));
    let opened = [
        "pkcs12",
        "-in",
        "device.p12",
        "-passin",
        &format!("file:{}", word.display()),
        "-noenc",
    ];
    assert!(
        home.foreign("openssl", &opened)
            .ok()
            .stdout
            .contains("PRIVATE KEY")
    );
    let (status, _) = serving.ask(&format!("{address}x"), "");
    assert_eq!(status, 404);
    // Another tab has another key.
    browser.run("sessionStorage.clear()");
    browser.open("about:blank");
    browser.open(invite.word("link"));
    browser.tab_to("go");
    browser.press(ENTER);
    wait_until("what is told", || {
        browser.text("told").contains("has used this code").then_some(())
    });
    assert_eq!(serving.invites()[0]["refused"], 1);
}

#[test]
fn a_page_that_is_loaded_again_has_its_key_still() {
    if !need(&TOOLS) {
        return;
    }
    let Some(serving) = Serving::start() else { return };
    let home = &serving.home;
    let invite = serving.invite(&["alice"]);
    let browser = Browser::start(home, 390, &[]);
    for _ in 0..2 {
        browser.open("about:blank");
        browser.open(invite.word("link"));
        browser.tab_to("go");
        browser.press(ENTER);
        // The answer is lost the first time: nobody saves the file.
        wait_until("the certificate", || browser.is_shown("done").then_some(()));
    }
    assert_eq!(serving.invites()[0]["refused"], 0);
    assert_eq!(serving.ledger().matches("\"event\":\"issued\"").count(), 1);
}

#[test]
fn a_link_that_is_cut_off_and_a_browser_without_scripts_are_told_what_to_do() {
    if !need(&TOOLS) {
        return;
    }
    let Some(serving) = Serving::start() else { return };
    let home = &serving.home;
    let invite = serving.invite(&["alice"]);
    let browser = Browser::start(home, 390, &[]);
    let (cut, _) = invite.word("link").split_once('#').unwrap();
    browser.open(cut);
    assert!(browser.is_shown("incomplete") && !browser.is_shown("begin"));
    // Whoever completes the address gets on, though its end alone loads nothing anew.
    browser.run(&format!("location.href = {:?}", invite.word("link")));
    wait_until("the whole link", || browser.is_shown("begin").then_some(()));
    // So does whoever has a browser that makes no keys, and is shown the form for a file.
    let no_keys = "Object.defineProperty(Crypto.prototype, 'subtle', { value: undefined })";
    browser.chromium(
        "Page.addScriptToEvaluateOnNewDocument",
        serde_json::json!({ "source": no_keys }),
    );
    browser.open(cut);
    assert!(browser.is_shown("old"));
    browser.run(&format!("location.href = {:?}", invite.word("link")));
    let typed = "return document.getElementById('typed').value";
    wait_until("the secret in the form", || {
        (browser.run(typed) == invite.word("secret")).then_some(())
    });
    drop(browser);
    let (status, page) = serving.ask(&format!("/i/{}", invite.word("id")), "");
    assert!(status == 200 && page.contains("<noscript>"), "{page}");
    assert!(page.len() < 40 << 10, "{} octets", page.len());
    // What it runs is what its policy lets it run, and it asks nobody else.
    assert!(!page.contains("http://") && !page.contains("//cdn"), "{page}");
}

#[test]
fn each_system_has_its_own_next_steps_with_pictures_and_they_end_with_the_api() {
    if !need(&TOOLS) {
        return;
    }
    let home = Home::with_server();
    home.configure("api", "\"https://api.acme.example/v1\"");
    let Some(serving) = Serving::of(home) else { return };
    let home = &serving.home;
    let browser = Browser::start(home, 1280, &[]);
    for (system, agent) in AGENTS {
        let invite = serving.invite(&[&format!("alice/{system}")]);
        browser.is_called(agent);
        browser.has_screen(390, "light");
        browser.open(invite.word("link"));
        browser.tab_to("go");
        browser.press(ENTER);
        wait_until("the certificate", || browser.is_shown("done").then_some(()));
        for (other, _) in AGENTS {
            assert_eq!(browser.is_shown(other), other == system, "{other} as {system}");
        }
        // Apple's systems install a profile from an address, the others open a file.
        let save = browser.run("return document.getElementById('save').href");
        let is_profile = save.as_str().unwrap().contains("/profile/");
        assert_eq!(
            is_profile,
            ["iphone", "mac"].contains(&system),
            "{system}: {save}"
        );
        let steps = format!(
            "return [...document.querySelectorAll('#{system} li')].map(step => step.innerText && \
             step.querySelector('svg').getBoundingClientRect().height > 40)"
        );
        assert_eq!(
            browser.run(&steps),
            serde_json::json!([true, true, true]),
            "{system}"
        );
        let last = browser.run("return [...document.querySelectorAll('#done a')].pop().href");
        assert_eq!(last, "https://api.acme.example/v1");
        // Whoever is taken for somebody else finds her own steps, too.
        browser.tab_to("save");
        browser.press(TAB);
        browser.press(ENTER);
        for (other, _) in AGENTS {
            assert!(browser.is_shown(other), "{other} as {system}");
        }
        let asked = browser.run(
            "return performance.getEntriesByType('resource').map(one => new URL(one.name).origin)\
             .filter(origin => origin !== location.origin)",
        );
        assert_eq!(asked, serde_json::json!([]), "{system}");
        browser.run("document.getElementById('others').open = false");
        for (width, scheme) in [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")] {
            browser.has_screen(width, scheme);
            browser.keep_screenshot(&format!("done-{system}-{width}-{scheme}"));
        }
    }
}

#[test]
fn all_that_the_script_says_stands_in_the_template() {
    let file = |name: &str| {
        let place = format!("{}/templates/serve/page.{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(place).unwrap()
    };
    let script = file("js");
    let quoted = regex::Regex::new(r"'((?:[^'\\\n]|\\.)*)'").unwrap();
    let prose = regex::Regex::new(r"[A-Za-z]{2,} [A-Za-z]{2,}").unwrap();
    let code = script.lines().filter(|line| !line.trim_start().starts_with("//"));
    let words: Vec<&str> = code
        .flat_map(|line| {
            quoted
                .captures_iter(line)
                .map(|found| found.get(1).unwrap().as_str())
        })
        .filter(|text| prose.is_match(text) && *text != "use strict")
        .collect();
    assert!(words.is_empty(), "the script says by itself {words:?}");
    let page = file("html");
    let told = regex::Regex::new(r"(?:tell|text)\('([a-z-]+)'").unwrap();
    let kinds: Vec<&str> = told
        .captures_iter(&script)
        .map(|found| found.get(1).unwrap().as_str())
        .collect();
    assert!(kinds.len() > 1, "{kinds:?}");
    for kind in kinds {
        assert!(page.contains(&format!("id=\"say-{kind}\"")), "{kind}");
    }
}

/// The file of an invite with a key of the service's, once it is saved.
fn handed_out(home: &Home) -> Vec<u8> {
    downloaded(home).1
}

#[test]
fn a_browser_without_scripts_sends_the_secret_that_is_typed_and_saves_the_file() {
    if !need(&TOOLS) {
        return;
    }
    let Some(serving) = Serving::start() else { return };
    let home = &serving.home;
    let invite = serving.invite(&["alice", "--server-key"]);
    let browser = Browser::start(home, 320, &["--blink-settings=scriptEnabled=false".into()]);
    browser.open(invite.word("link"));
    // The field is the first that the keyboard reaches.
    browser.press(TAB);
    for letter in invite.word("secret").chars() {
        browser.press(&letter.to_string());
    }
    browser.press(ENTER);
    let kept = home.home().join(format!("handout/{}.p12", invite.word("id")));
    assert_eq!(handed_out(home), std::fs::read(kept).unwrap());
    assert_eq!(serving.invites()[0]["state"], "redeemed");
}

#[test]
fn a_browser_with_scripts_is_led_to_the_form_where_the_invite_hands_out_a_file() {
    if !need(&TOOLS) {
        return;
    }
    let Some(serving) = Serving::start() else { return };
    let home = &serving.home;
    let invite = serving.invite(&["alice", "--server-key"]);
    let browser = Browser::start(home, 320, &[]);
    browser.open(invite.word("link"));
    assert!(!browser.is_shown("file"));
    browser.tab_to("go");
    browser.press(ENTER);
    wait_until("the form", || browser.is_shown("file").then_some(()));
    // The secret that the link has need not be typed.
    browser.tab_to("typed");
    browser.press(ENTER);
    handed_out(home);
    assert_eq!(serving.invites()[0]["state"], "redeemed");
}
