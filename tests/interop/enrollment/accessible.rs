//! The page in all its states, examined by axe-core: for whoever does not see it, sees it badly, or has a
//! narrow screen.

use serde_json::{Value, json};

use super::Serving;
use super::browser::{AGENTS, Browser, ENTER, TOOLS};
use crate::support::{Home, need, need_axe, wait_until};

/// Examines what is shown now, in both schemes of colours, on a narrow screen and on a wide one.
fn examine(browser: &Browser<'_>, axe: &str, state: &str) {
    let loaded = browser.run("return typeof axe === 'object'") == true;
    if !loaded {
        browser.run(axe);
    }
    for (width, scheme) in [(320, "light"), (320, "dark"), (1280, "light"), (1280, "dark")] {
        browser.has_screen(width, scheme);
        browser.keep_screenshot(&format!("{state}-{width}-{scheme}"));
        let found = browser.run(
            "return axe.run({ preload: false, resultTypes: ['violations'] }).then(({ violations, passes }) => ({ passed: passes.length, \
             violations: violations.map(({ id, help, nodes }) => [id, help, nodes.map((node) => node.html)]) }))",
        );
        assert!(
            found["passed"].as_u64().is_some_and(|rules| rules > 10),
            "{state}: nothing was examined: {found}"
        );
        assert_eq!(
            found["violations"],
            Value::Array(vec![]),
            "{state} at {width}, {scheme}"
        );
        let fits = "return document.documentElement.scrollWidth <= innerWidth";
        assert_eq!(browser.run(fits), true, "{state} does not fit {width}");
    }
}

/// A service with a page, and the text of axe-core; none where a program is missing.
fn ground() -> Option<(Serving, String)> {
    let axe = need_axe()?;
    if !need(&TOOLS) {
        return None;
    }
    let home = Home::with_server();
    home.configure("api", "\"https://api.acme.example/\"");
    Some((Serving::of(home)?, std::fs::read_to_string(axe).unwrap()))
}

fn press(browser: &Browser<'_>) {
    browser.tab_to("go");
    browser.press(ENTER);
}

#[test]
fn everybody_can_use_the_page_from_its_start_to_the_certificate() {
    let Some((serving, axe)) = ground() else { return };
    let invite = serving.invite(&["alice", "--code", "--approve"]);
    let browser = Browser::start(&serving.home, 1280, &[]);
    browser.open(invite.word("link"));
    examine(&browser, &axe, "begin");
    press(&browser);
    wait_until("the question", || browser.is_shown("digits").then_some(()));
    examine(&browser, &axe, "digits");
    for digit in invite.word("code").chars() {
        browser.press(&digit.to_string());
    }
    browser.press(ENTER);
    wait_until("the words", || browser.is_shown("waits").then_some(()));
    examine(&browser, &axe, "waits");
    let approve = [
        "invite",
        "approve",
        invite.word("id"),
        "--words",
        &browser.text("words"),
    ];
    serving.home.run(&approve);
    wait_until("the certificate", || browser.is_shown("done").then_some(()));
    browser.run("document.getElementById('others').open = true");
    examine(&browser, &axe, "done");
}

#[test]
fn everybody_can_read_why_the_page_goes_no_further() {
    let Some((serving, axe)) = ground() else { return };
    let invite = serving.invite(&["alice"]);
    let body = json!({ "secret": invite.word("secret"), "csr": serving.request("first") });
    assert_eq!(serving.redeem(invite.word("id"), &body).0, 200);
    let browser = Browser::start(&serving.home, 1280, &[]);
    browser.open(invite.word("link"));
    press(&browser);
    wait_until("the refusal", || browser.is_shown("failed").then_some(()));
    examine(&browser, &axe, "failed");
    browser.is_called(&format!("{} Instagram 362.0.0.33.241", AGENTS[0].1));
    browser.open("about:blank");
    browser.open(invite.word("link"));
    assert!(browser.is_shown("inside") && browser.text("here") == invite.word("link"));
    examine(&browser, &axe, "inside");
    let (cut, _) = invite.word("link").split_once('#').unwrap();
    browser.is_called(AGENTS[0].1);
    browser.open("about:blank");
    browser.open(cut);
    examine(&browser, &axe, "incomplete");
    // What is wrong is found: a picture that nobody is told of.
    browser.run("document.querySelector('main').append(document.createElement('img'))");
    let found = browser.run("return axe.run().then(({ violations }) => violations.map(({ id }) => id))");
    assert_eq!(found, json!(["image-alt"]));
}
