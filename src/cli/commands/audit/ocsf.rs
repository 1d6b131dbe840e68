//! Events in the Open Cybersecurity Schema Framework, version 1.4.0: class Entity Management (3004) of the
//! category Identity & Access Management.

use serde_json::{Value, json};

use super::about::{Activity, Severity, Subject};
use super::exported::Exported;

/// The version of the schema.
pub const SCHEMA: &str = "1.4.0";
const CATEGORY: u32 = 3;
/// Entity Management.
const CLASS: u32 = 3004;

/// An event as an object of the schema.
pub fn object(exported: &Exported) -> Value {
    let about = &exported.about;
    let (activity, activity_name) = activity(about.activity);
    let (severity, severity_name) = match about.severity {
        Severity::Informational => (1, "Informational"),
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
    };
    let (status, status_name) = if about.is_done {
        (1, "Success")
    } else {
        (2, "Failure")
    };
    json!({
        "category_uid": CATEGORY,
        "category_name": "Identity & Access Management",
        "class_uid": CLASS,
        "class_name": "Entity Management",
        "activity_id": activity,
        "activity_name": activity_name,
        "type_uid": CLASS * 100 + activity,
        "type_name": format!("Entity Management: {activity_name}"),
        "severity_id": severity,
        "severity": severity_name,
        "status_id": status,
        "status": status_name,
        "time": exported.time.unix() * 1000,
        "message": exported.message,
        "actor": { "user": { "name": exported.actor } },
        "entity": entity(&about.subject),
        "metadata": {
            "version": SCHEMA,
            "product": {
                "name": "pki",
                "vendor_name": "pki",
                "version": env!("CARGO_PKG_VERSION"),
            },
            "log_name": "ledger",
            "event_code": exported.kind,
            "sequence": exported.number,
            "uid": exported.hash,
        },
        "unmapped": {
            "previous": exported.previous,
            "details": exported.details,
        },
    })
}

/// `activity_id` of the class, and its caption.
fn activity(activity: Activity) -> (u32, &'static str) {
    match activity {
        Activity::Create => (1, "Create"),
        Activity::Read => (2, "Read"),
        Activity::Update => (3, "Update"),
        Activity::Delete => (4, "Delete"),
        Activity::Enroll => (6, "Enroll"),
        Activity::Enable => (8, "Enable"),
        Activity::Disable => (9, "Disable"),
        Activity::Activate => (10, "Activate"),
        Activity::Suspend => (12, "Suspend"),
    }
}

/// The object `managed_entity`, which has a name or an identifier. What its list of types does not have is
/// `Other` (99), with a type of ours.
fn entity(subject: &Subject) -> Value {
    let Subject { kind, name, id } = subject;
    let mut entity = match *kind {
        "organization" => json!({ "type_id": 4, "type": "Organization", "org": { "name": name } }),
        "employee" => json!({ "type_id": 2, "type": "User", "user": { "name": name } }),
        other => json!({ "type_id": 99, "type": other }),
    };
    let name = name.as_deref().or(id.as_deref()).unwrap_or(kind);
    entity["name"] = name.into();
    if let Some(id) = id {
        entity["uid"] = id.as_str().into();
    }
    entity
}
