//! The link of a message, and what its buttons do.

use super::*;

#[test]
fn a_page_of_the_incident_gives_a_link() {
    let url = |numbers: &[u64]| format!("https://hub.example.com/olog/incidents/{numbers:?}");
    let context = Context { incident_url: Some(IncidentUrl(&url)), ..context(Language::En) };
    let html = compose(&[first("mysql")], &context).message.html;
    assert!(html.contains("<a href=\"https://hub.example.com/olog/incidents/[17]\">Details #17</a>"), "{html}");
    let other = Notice { incident: Some(23), ..first("disk") };
    let html = compose(&[first("mysql"), other], &context).message.html;
    assert!(html.contains("incidents/[17, 23]\">Details of 2 incidents</a>"), "a merged message has one: {html}");
    let link = compose(&[first("mysql")], &context).message.link.unwrap();
    assert_eq!(
        (link.label.as_str(), link.acknowledge),
        ("Details #17", None),
        "there is nothing that a form could repeat"
    );
    let url = |numbers: &[u64]| format!("https://hub.example.com/incidents/{}?key=x", numbers.len());
    let context = Context { incident_url: Some(IncidentUrl(&url)), ..context };
    let acknowledge = compose(&[first("mysql")], &context).message.link.and_then(|link| link.acknowledge).unwrap();
    assert_eq!(
        (acknowledge.url.as_str(), acknowledge.form.as_str()),
        ("https://hub.example.com/incidents/1/ack", "key=x")
    );
    let ended = compose(&[over(ResolvedBy::Quiet)], &context).message.link.unwrap();
    assert!(ended.acknowledge.is_none() && ended.url.ends_with("/1?key=x"), "{ended:?}");
    assert_eq!(compose(&[first("mysql")], &Context { incident_url: None, ..context }).message.link, None);
}
