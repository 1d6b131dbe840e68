//! Renders the timer that runs `pki publish` again and again on the machine of the home: units of systemd, or
//! lines for cron.

use std::path::Path;

use minijinja::context;
use minijinja::value::Value;

use super::language::Language;
use super::render::{ConsumerError, absolute, plain, render};
use super::target::TimerTarget;

/// The values for the configuration of a timer: the home and its machine.
#[derive(Debug, Clone)]
pub struct TimerContext<'a> {
    /// The account that owns the home.
    pub user: &'a str,
    /// The path of this program.
    pub program: &'a Path,
    /// The path of the home.
    pub home: &'a Path,
    /// The directories that `pki publish` writes to, apart from the home.
    pub writable: &'a [&'a Path],
    /// The manifests in the places that servers read, for which no command of a `[[publish]]` makes servers
    /// reload.
    pub manifests: &'a [&'a Path],
    /// The units that read new files when they are reloaded.
    pub reload: &'a [String],
    /// The units that do so only when they are restarted, or that must close connections.
    pub restart: &'a [String],
    /// Whether something is published over the network.
    pub network: bool,
    /// Whether commands of `[[publish]]` tables are run.
    pub commands: bool,
}

/// Renders the files, or lines, of a timer.
///
/// # Errors
/// Where the template is faulty, or a path cannot stand in them.
pub fn render_timer(
    target: TimerTarget,
    template: &str,
    about: &TimerContext<'_>,
) -> Result<String, ConsumerError> {
    let text = |path: &Path| absolute(path, Language::Shell);
    let (program, home) = (text(about.program)?, text(about.home)?);
    let writable = about.writable.iter().map(|path| text(path));
    let writable: Vec<String> = writable.collect::<Result<_, _>>()?;
    let manifests = about.manifests.iter().map(|path| text(path));
    let manifests: Vec<String> = manifests.collect::<Result<_, _>>()?;
    // ProtectHome= hides these from a service.
    let hidden = ["/home", "/root", "/run/user"];
    let in_home = |path: &&String| hidden.iter().any(|above| Path::new(path).starts_with(above));
    let is_hidden = [&program, &home]
        .into_iter()
        .chain(&writable)
        .any(|path| in_home(&path));
    // What lies there, a service with a /tmp of its own does not see.
    let in_tmp = |path: &&String| {
        ["/tmp", "/var/tmp"]
            .iter()
            .any(|above| Path::new(path).starts_with(above))
    };
    let is_in_tmp = [&program, &home]
        .into_iter()
        .chain(&writable)
        .any(|path| in_tmp(&path));
    let values = match target {
        TimerTarget::Systemd => context! {
            program => plain(word(&program)),
            // As the next has it in its line, without the quotes there: for the script to compare by.
            environment => specifiers(&format!("PKI_HOME={home}")),
            home => plain(word(&format!("PKI_HOME={home}"))),
            writable => std::iter::once(plain(word(&home)))
                .chain(writable.iter().map(|path| plain(word(&format!("-{path}")))))
                .collect::<Vec<Value>>(),
            watched => manifests.iter().map(|path| plain(argument(path))).collect::<Vec<Value>>(),
            // A path to watch is the whole rest of its line, and has no quotes.
            manifests => manifests.iter().map(|path| plain(specifiers(path))).collect::<Vec<Value>>(),
        },
        TimerTarget::Cron => context! {
            program => plain(in_crontab(&program)?),
            home => plain(in_crontab(&home)?),
            manifests => manifests.iter().map(plain).collect::<Vec<Value>>(),
        },
    };
    let readers = [about.reload, about.restart].concat().join(" ");
    let values = context! {
        user => plain(about.user),
        reloads => about.reload.iter().map(plain).collect::<Vec<Value>>(),
        restarts => about.restart.iter().map(plain).collect::<Vec<Value>>(),
        readers => plain(&readers),
        // As a home's own template has them that was written for one server.
        reload => plain(&readers),
        restart => about.reload.is_empty() && !about.restart.is_empty(),
        in_tmp => is_in_tmp,
        network => about.network,
        commands => about.commands,
        in_home => is_hidden,
        ..values
    };
    render(target.template(), template, values)
}

/// A word of a unit: in quotes, and with no specifier in it.
fn word(text: &str) -> String {
    let quoted = specifiers(text).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{quoted}\"")
}

/// A word of a command in a unit: a dollar sign begins a variable, too.
fn argument(text: &str) -> String {
    word(text).replace('$', "$$")
}

/// A text of a unit: a percent sign begins a specifier.
fn specifiers(text: &str) -> String {
    text.replace('%', "%%")
}

/// A word of the command in a crontab: the shell's quotes, and in them cron's. To cron a percent sign ends
/// the command.
fn in_crontab(text: &str) -> Result<String, ConsumerError> {
    Ok(Language::Shell.quote(text)?.replace('%', "\\%"))
}
