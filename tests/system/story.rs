//! The book's four machines, from their packages to the daily report: a hub with nginx, MySQL that must run, a nightly rsync, and a Raspberry Pi that
//! still runs the old client.
//!
//! The lines of the crontabs are the book's. MySQL is a stand-in: a unit, and a `mysqladmin` that says what the real one says.

use olog_journeys::{
    Push,
    old_client::PYTHON,
    phone::{TOKEN, UID},
};
use serde_json::Value;

use crate::{
    installed::{DAEMONS, Release, remote},
    machine::Machine,
    site::Site,
};

/// The token that the old clients share.
const OLD_TOKEN: &str = "AT_ofTheOldDays";
const MYSQL: &str = "[Service]\nExecStart=/usr/bin/sleep infinity\n";
const MYSQLADMIN: &str = "#!/bin/sh
systemctl --quiet is-active mysql && echo 'mysqld is alive' && exit
echo \"mysqladmin: connect to server at 'localhost' failed\" >&2
echo \"error: 'Can't connect to local server through socket '/run/mysqld/mysqld.sock' (2)'\" >&2
exit 1
";

/// The hub: installed, set up by the questions of `setup`, with an agent of its own and nginx.
fn alisrv(site: &Site) -> Machine {
    let alisrv = site.boot("alisrv");
    alisrv.install(Release::This, &DAEMONS);
    let url = format!("https://{}:8765", alisrv.address);
    // Language, time zone, address, where the messages are read, kind of the channel, its token and receiver.
    let answers = ["en", "UTC", &url, "1", "2", TOKEN, UID].join("\\n");
    let said = alisrv.good(&format!("printf '{answers}\\n' | olog-hub setup --api-url {}", site.phone.url()));
    assert!(said.contains("accepted"), "{said}");
    alisrv.good("install --directory --owner=olog-hub /www/olog_html && chmod a+x /www");
    // Not the link `default`: from here it would lead out of the machine.
    alisrv.write("/etc/nginx/sites-enabled/www", "server {\n listen 80;\n root /www;\n}\n");
    alisrv.good("rm /etc/nginx/sites-enabled/default && systemctl start nginx");
    alisrv.write(
        "/etc/olog/hub.d/20-story.toml",
        &format!(
            "[alerts]\nquiet = \"\"\nover_wait = \"1s\"\noffline_after = \"10s\"\n\
             [report]\nhtml_dir = \"/www/olog_html\"\nhtml_url = \"http://{}/olog_html/\"\n\
             [legacy]\nenabled = true\ntoken = \"{OLD_TOKEN}\"\n\
             [[device]]\nname = \"backupsrv\"\ntasks = [{{ name = \"rsync\", schedule = \"10 2 * * *\", grace = \"2h\" }}]\n\
             [[device]]\nname = \"respi\"\noffline_after = \"30m\"\n",
            alisrv.address
        ),
    );
    alisrv.good("olog-hub check && systemctl reload olog-hub");
    alisrv.join_itself();
    alisrv.wait_connected();
    crontab(&alisrv, "* * * * *   olog-agent exec --task nginx -- systemctl is-active nginx >/dev/null");
    alisrv
}

/// MySQL must run.
fn comsrv(site: &Site, hub: &Machine) -> Machine {
    let comsrv = remote(site, hub, "comsrv");
    comsrv.write("/etc/systemd/system/mysql.service", MYSQL);
    comsrv.write("/usr/bin/mysqladmin", MYSQLADMIN);
    comsrv.good("chmod +x /usr/bin/mysqladmin && systemctl start mysql");
    comsrv.write("/etc/olog/agent.d/10-address.toml", "address = \"ubuntu@10.20.0.233:22\"\n");
    comsrv.good("systemctl reload olog-agent");
    crontab(&comsrv, "* * * * *   mysqladmin ping >/dev/null 2>/var/log/olog/mysql.err");
    comsrv
}

/// A backup each night; this is the night.
fn backupsrv(site: &Site, hub: &Machine) -> Machine {
    let backupsrv = remote(site, hub, "backupsrv");
    backupsrv.good("mkdir /backup && echo precious > /srv/data");
    crontab(
        &backupsrv,
        "10 2 * * *  olog-agent exec --task rsync --lock --timeout 5h -- rsync -a --delete /srv/ /backup/",
    );
    as_cron_does(&backupsrv);
    assert_eq!(backupsrv.read("/backup/data"), "precious\n");
    backupsrv.wait_sent();
    backupsrv
}

/// Has not moved yet: the old client is started as its users start it.
fn respi(site: &Site, hub: &Machine) -> Machine {
    let respi = site.boot("respi");
    respi.write("/root/old_client.py", PYTHON);
    respi.write("/ologs/mqtt.log", "home/door closed\n");
    respi.write("/ologs/@smarthome@.err", "no message from the door sensor\n");
    crontab(
        &respi,
        &format!(
            "@reboot python3 /root/old_client.py {}:8765 {OLD_TOKEN} respi#pi@respi:22 /ologs \
             >/var/log/old_client.log 2>/var/log/old_client.err",
            hub.address
        ),
    );
    respi
}

/// Gives root this crontab, and starts cron.
fn crontab(machine: &Machine, line: &str) {
    machine.write("/root/crontab", &format!("{line}\n"));
    machine.good("crontab /root/crontab && systemctl start cron");
}

/// Runs the line of the crontab now.
fn as_cron_does(machine: &Machine) {
    machine.good("crontab -l | cut --delimiter=' ' --fields=6- | env -i PATH=/usr/bin:/bin HOME=/root sh");
}

/// The state of each task.
fn tasks(hub: &Machine) -> Vec<String> {
    let rows: Value = serde_json::from_str(&hub.hub("task list --json").good()).unwrap();
    let word = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    let row = |row: &Value| format!("{}/{} {}", word(row, "device"), word(row, "task"), word(row, "state"));
    rows.as_array().unwrap().iter().map(row).collect()
}

/// The devices of a report's page: name, state, and whether it is marked as an old client.
fn devices(page: &str) -> Vec<String> {
    let device = |part: &str| {
        let (state, rest) = part.split_once('"').unwrap();
        let name = rest.split_once("<b>").and_then(|(_, rest)| Some(rest.split_once("</b>")?.0)).unwrap();
        let mark = if part.contains("old client (olog.py)") { ", old client" } else { "" };
        format!("{name} {state}{mark}")
    };
    let mut devices: Vec<String> = page.split("<details class=\"dev ").skip(1).map(device).collect();
    devices.sort();
    devices
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn four_machines_go_from_their_packages_to_the_daily_report_and_one_of_them_runs_the_old_client() {
    let site = Site::with_room_for(4).await;
    let alisrv = alisrv(&site);
    let comsrv = comsrv(&site, &alisrv);
    let backupsrv = backupsrv(&site, &alisrv);
    let respi = respi(&site, &alisrv);
    let good = ["alisrv/nginx OK", "backupsrv/rsync OK", "respi/mqtt OK", "respi/smarthome ERR"];
    alisrv.wait("every task has reported", |hub| {
        let tasks = tasks(hub);
        good.iter().all(|task| tasks.iter().any(|found| found == task)).then_some(())
    });
    assert!(respi.read("/var/log/old_client.log").starts_with("report now\n"));
    let list = alisrv.hub("device list").good();
    assert!(list.contains("olog.py (old client)") && list.contains("pi@respi:22"), "{list}");

    as_cron_does(&comsrv);
    assert_eq!(comsrv.read("/var/log/olog/mysql.err"), "");
    comsrv.good("systemctl stop mysql");
    backupsrv.unplug();
    comsrv.wait("cron has asked MySQL", |machine| (!machine.read("/var/log/olog/mysql.err").is_empty()).then_some(()));
    let push = site.push("ERR comsrv/mysql").await;
    let text = push.text();
    assert!(text.contains("Can't connect to local server"), "{text}");
    assert!(text.contains("ssh ubuntu@10.20.0.233"), "{text}");
    site.push("LOST backupsrv").await;

    let report = daily_report(&site, &alisrv).await;
    let link = report
        .content
        .split('"')
        .find(|part| part.contains("/olog_html/"))
        .unwrap_or_else(|| panic!("{}", report.content));
    // The page, as the phone opens it.
    let page =
        respi.good(&format!("python3 -c 'import urllib.request as u; print(u.urlopen(\"{link}\").read().decode())'"));
    assert_eq!(devices(&page), ["alisrv ok", "backupsrv lost", "comsrv err", "respi err, old client"], "{page}");
    assert!(page.contains("no message from the door sensor"), "{page}");

    // The old client pushes its own errors: of it the hub tells in the report only.
    let others = site.phone.pushes().into_iter().filter(|push| !push.summary.starts_with("REPORT"));
    assert_eq!(others.filter(|push| push.text().contains("respi")).count(), 0, "{}", site.phone.story());
}

/// The report of every day, whose time comes in some seconds.
async fn daily_report(site: &Site, hub: &Machine) -> Push {
    let time = hub.good("date --utc --date='now + 5 seconds' '+%S %M %H'");
    let name = "/etc/olog/hub.d/20-story.toml";
    let text = hub.read(name).replace("[report]\n", &format!("[report]\nschedule = \"{} * * *\"\n", time.trim()));
    hub.write(name, &text);
    hub.good("systemctl reload olog-hub");
    site.push("REPORT 2 ERR 1 LOST").await
}
