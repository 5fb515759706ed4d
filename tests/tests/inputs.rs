//! Things in a log dir that are not the text of a task: links, FIFOs, folders, NULs, foreign encodings.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt as _};

use olog_journeys::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn links_pipes_and_folders_are_never_read() {
    let world = World::new().await;
    let hub = world.hub();
    let pi = world.agent("pi", &hub);
    fs::write(world.folder().join("secret"), "root:x:0:0\n").unwrap();
    pi.sh("ln -s ../../secret link.err; mkfifo pipe.err; mkdir folder.err; ln -s /etc linked");
    pi.write("folder.err/inner.err", "inside of a folder\n");
    world.push("inside of a folder").await;
    world.all_told(&pi).await;
    assert_eq!(world.n_pushes("root:x:0:0"), 0);
    assert_eq!(world.n_pushes("pi/link") + world.n_pushes("pi/pipe"), 0, "{}", world.phone.story());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_encoding_is_read_as_its_writer_meant_it() {
    let world = World::new().await;
    let hub = world.hub();
    let pi = world.agent("pi", &hub);
    // 数据库连接失败,请检查网络 in GBK.
    let gbk =
        b"\xca\xfd\xbe\xdd\xbf\xe2\xc1\xac\xbd\xd3\xca\xa7\xb0\xdc\xa3\xac\xc7\xeb\xbc\xec\xb2\xe9\xcd\xf8\xc2\xe7\n";
    fs::write(pi.log_dir.join("gbk.err"), gbk).unwrap();
    let utf16: Vec<u8> = "\u{feff}the disk is full\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(pi.log_dir.join("wide.err"), utf16).unwrap();
    fs::write(pi.log_dir.join("nul.err"), b"before\0after \x1b[31mred\x1b[0m\n").unwrap();
    world.push("数据库连接失败").await;
    world.push("the disk is full").await;
    let push = world.push("ERR pi/nul").await;
    assert!(!push.text().contains('\0') && !push.text().contains('\u{1b}'), "{:?}", push.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_ten_gigabytes_is_told_by_its_two_ends() {
    let world = World::new().await;
    let hub = world.hub();
    let pi = world.agent("pi", &hub);
    let path = world.folder().join("huge");
    let file = fs::File::create(&path).unwrap();
    use std::os::unix::fs::FileExt as _;
    file.write_all_at(b"how it began\n", 0).unwrap();
    file.write_all_at(b"\nhow it ended\n", 10 << 30).unwrap();
    drop(file);
    fs::rename(path, pi.log_dir.join("huge.err")).unwrap();
    let push = world.push("how it ended").await;
    assert!(push.text().contains("how it began") && push.content.chars().count() < 20_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_any_bytes_are_told() {
    let world = World::new().await;
    let hub = world.hub();
    let pi = world.agent("pi", &hub);
    let long = [&b"l"[..].repeat(251), &b".err"[..]].concat();
    let names: [&[u8]; 6] =
        [b"a\nb.err", b"q\"'`.err", b"<b>x.err", b"bad\xff\xfe.err", &long, "备份@数据库@.err".as_bytes()];
    for (i, name) in names.iter().enumerate() {
        fs::write(pi.log_dir.join(OsStr::from_bytes(name)), format!("said by file number {i}\n")).unwrap();
        world.push(&format!("said by file number {i}")).await;
    }
    let script = world.phone.pushes().iter().any(|push| push.content.contains("<b>x"));
    assert!(!script, "a name is escaped where a page shows it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_dir_that_does_not_exist_is_told_and_watched_when_it_comes() {
    let world = World::new().await;
    let hub = world.hub();
    let later = world.folder().join("later");
    let mut pi = world.agent_off("pi", &format!("log_dirs = [{:?}]", later.display().to_string()), "");
    pi.join(&hub);
    pi.start();
    pi.wait("it says so", |status| status["notes"].to_string().contains("later"));
    world.push("later").await;
    fs::create_dir(&later).unwrap();
    fs::write(later.join("svc.err"), "in the new folder\n").unwrap();
    world.push("in the new folder").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_files_at_once_are_two_thousand_events() {
    let world = World::new().await;
    let hub = world.hub();
    let pi = world.agent("pi", &hub);
    for i in 0..2000 {
        pi.write(&format!("job{i:04}.scanerr"), "failed\n");
    }
    hub.wait("every event", |hub| {
        (hub.query::<i64>("SELECT count(DISTINCT task_id) FROM events WHERE kind = 'text'")[0] == 2000).then_some(())
    });
    pi.wait_sent();
}
