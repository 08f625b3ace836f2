use std::os::unix::fs::PermissionsExt as _;

use cloud::ledger::RunOutcome;
use serde_json::json;

use super::*;
use crate::queue::{DeadLetter, Queue};

fn store(home: &Home) -> Store {
    Store::open(home, Template::built_in().unwrap()).unwrap()
}

async fn put(store: &Store, key: &str, text: &str) -> Result<Object, StoreError> {
    let (mut new, mut file) = store.new_file()?;
    io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    new.whole(&file, Some(text.as_bytes().to_vec()))?;
    let md5 = hex(s3s::crypto::Checksum::finalize({
        let mut md5 = <s3s::crypto::Md5 as s3s::crypto::Checksum>::new();
        s3s::crypto::Checksum::update(&mut md5, text.as_bytes());
        md5
    })
    .as_ref());
    let written = Written { etag: md5.clone(), md5, size: text.len() as u64, head: Head::default() };
    let writing = store.writing(BUCKET, key).await;
    store.put(&writing, (BUCKET, key), new, written).await
}

async fn read(store: &Store, key: &str) -> Option<String> {
    let (_, mut file) = store.find(BUCKET, key).await.unwrap()?;
    let mut text = String::new();
    io::Read::read_to_string(&mut file, &mut text).unwrap();
    Some(text)
}

fn move_lines(store: &Store) -> i64 {
    store
        .database()
        .read(|database| database.query_row("SELECT count(*) FROM moves", [], |row| row.get(0)))
        .unwrap()
}

#[tokio::test]
async fn what_was_acknowledged_is_there_whatever_became_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(folder.path().join("home")).unwrap();
    let before = store(&home);
    before.make_bucket(BUCKET).await.unwrap();
    for (key, text) in [("a", "one"), ("b", "two"), ("c", "three"), ("d", "four"), ("e", "five")] {
        put(&before, key, text).await.unwrap();
    }
    // of one the file will come back, of the other a person brings a copy
    for (key, kept) in [("gone", "left"), ("restored", "copy")] {
        put(&before, key, "x").await.unwrap();
        let kept = home.root().join(kept);
        if key == "gone" {
            fs::hard_link(home.object(key), kept).unwrap()
        } else {
            let _ = fs::copy(home.object(key), kept).unwrap();
        }
        let writing = before.writing(BUCKET, key).await;
        before.remove(&writing, BUCKET, key).await.unwrap();
    }
    // the process dies: nothing is put in order
    let moved = |key: &str| {
        let database = database::connect(&home.store()).unwrap();
        let sql = "SELECT file FROM moves WHERE key = ?";
        let name: String = database.query_row(sql, [key], |row| row.get(0)).unwrap();
        home.new_files().join(name)
    };
    // killed before the rename
    fs::rename(home.object("a"), moved("a")).unwrap();
    // the file did not come to the disk before the power was cut, or only its name did
    fs::remove_file(home.object("b")).unwrap();
    let stamp = fs::metadata(home.object("c")).unwrap().modified().unwrap();
    fs::write(home.object("c"), "").unwrap();
    File::options().write(true).open(home.object("c")).unwrap().set_modified(stamp).unwrap();
    // a person wrote it afterwards
    std::thread::sleep(Duration::from_millis(20));
    fs::write(home.object("d"), "by hand").unwrap();
    // its place was taken
    fs::rename(home.object("e"), moved("e")).unwrap();
    fs::create_dir_all(home.object("e")).unwrap();
    fs::write(home.object("e/f"), "taken").unwrap();
    fs::rename(home.root().join("left"), home.object("gone")).unwrap();
    fs::rename(home.root().join("copy"), home.object("restored")).unwrap();
    File::options().write(true).open(home.object("restored")).unwrap().set_modified(stamp).unwrap();
    // of a write that came to nothing
    fs::write(home.new_files().join("19ad-7f-3"), "x").unwrap();

    let after = store(&home);
    after.take_in(BUCKET, "").await.unwrap();
    let expected = [
        ("a", "one"),
        ("b", "two"),
        ("c", "three"),
        ("d", "by hand"),
        ("e", "five"),
        ("e/f", "taken"),
        ("restored", "x"),
    ];
    for (key, text) in expected {
        assert_eq!(read(&after, key).await.as_deref(), Some(text), "{key}");
    }
    assert_eq!(read(&after, "gone").await, None);
    assert_eq!(after.page(BUCKET, ("", true), None, 100).unwrap().len(), expected.len());
    assert_eq!(fs::read_dir(home.new_files()).unwrap().count(), 0);
    after.close();
    let again = store(&home);
    for (key, text) in expected {
        assert_eq!(read(&again, key).await.as_deref(), Some(text), "{key}");
    }
}

#[tokio::test]
async fn an_object_stands_with_its_notification_and_what_settled_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(folder.path().join("home")).unwrap();
    let store = store(&home);
    store.make_bucket(BUCKET).await.unwrap();
    put(&store, "journal/2026-10/a.jsonl", "{}").await.unwrap();
    put(&store, "bills/2026-10/a.csv", "x").await.unwrap();
    let due = Queue::of(&store).due().unwrap();
    assert_eq!((due.len(), due[0].1.as_str()), (1, "report-revenue"));
    store.settle_moves().unwrap();
    assert_eq!(move_lines(&store), 2, "too young");
    let old =
        |change: &Transaction<'_>| change.execute("UPDATE moves SET begun = begun - 100000", []).map(drop);
    store.database().write(old).await.unwrap();
    store.settle_moves().unwrap();
    assert_eq!(move_lines(&store), 0);
    assert_eq!(read(&store, "bills/2026-10/a.csv").await.as_deref(), Some("x"));
}

#[tokio::test]
async fn only_the_owner_reads_a_home() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(folder.path().join("home")).unwrap();
    let store = store(&home);
    store.make_bucket(BUCKET).await.unwrap();
    put(&store, "bills/2026-10/a.csv", "x").await.unwrap();
    home.credentials().unwrap();
    let mut looked = vec![home.root().to_owned()];
    let mut count = 0;
    while let Some(path) = looked.pop() {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
        if path.is_dir() {
            looked.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        count += 1;
    }
    assert!(count > 8, "{count}");
}

#[tokio::test]
async fn a_home_of_an_older_version_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("home");
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let sidecar = |key: &str, kind: &str, text: &str| {
        use base64::Engine as _;
        let name = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let (bucket, key) = (name.encode(BUCKET), name.encode(key));
        write(&format!("s3/.bucket-{bucket}.object-{key}.{kind}.json"), text);
    };
    write(&format!("s3/{BUCKET}/raw/a.json"), "hello");
    sidecar(
        "raw/a.json",
        "internal",
        r#"{"e_tag":"5d41402abc4b2a76b9719d911017c592","checksum_crc32":"NhCmhg=="}"#,
    );
    sidecar(
        "raw/a.json",
        "metadata",
        r#"{"content_type":"application/json","user_metadata":{"fetched-at":"2026-10-05T00:00:00Z"}}"#,
    );
    // killed between the object and what is known of it
    write(&format!("s3/{BUCKET}/bills/b.csv"), "newer");
    sidecar(
        "bills/b.csv",
        "internal",
        r#"{"e_tag":"00000000000000000000000000000000","checksum_crc32":"AAAAAA=="}"#,
    );
    write(&format!("s3/{BUCKET}/charges/c.parquet"), "parts");
    sidecar("charges/c.parquet", "internal", r#"{"e_tag":"0123456789abcdef0123456789abcdef-3"}"#);
    write("s3/omnistrate-export/x/y.json", "{}");
    let message = |key: &str| {
        json!({"function": "allocate", "event": {"key": key}, "attempts": 1, "bucket": BUCKET, "key": key})
            .to_string()
    };
    write("queue/1.json", &message("raw/a.json"));
    write("queue/2.intent", &message("raw/a.json"));
    write("queue/3.intent", &message("raw/never.json"));
    write("queue/x.new", "half");
    let letter = DeadLetter {
        function: "allocate".into(),
        event: json!({"key": "raw/a.json"}),
        error: "why".into(),
        outcome: RunOutcome::Held,
        attempts: 3,
        given_up_at: "2026-10-05T00:00:00Z".into(),
    };
    write("dead-letters/1.json", &serde_json::to_string(&letter).unwrap());
    write("dead-letters/2.json", "");
    write("kind.json", "\"own\"");
    write("dynamodb.sqlite", "");

    let home = Home::open(&root).unwrap();
    let store = store(&home);
    let object = async |key| store.find(BUCKET, key).await.unwrap().unwrap().0;
    let a = object("raw/a.json").await;
    assert_eq!(a.etag, "5d41402abc4b2a76b9719d911017c592");
    assert_eq!(a.head.headers["content-type"], "application/json");
    assert_eq!(a.head.metadata["fetched-at"], "2026-10-05T00:00:00Z");
    let b = object("bills/b.csv").await;
    assert_eq!((b.etag.as_str(), b.head.checksums.len()), (b.md5.as_str(), 0));
    assert_eq!(object("charges/c.parquet").await.etag, "0123456789abcdef0123456789abcdef-3");
    assert!(store.find("omnistrate-export", "x/y.json").await.unwrap().is_some());
    let queue = Queue::of(&store);
    assert_eq!((queue.waiting().unwrap(), queue.dead_letters().unwrap().len()), (2, 1));
    assert!(!root.join("dead-letters").exists());
    assert!(root.join("queue").is_file(), "an older version finds no folder there");
    for (path, mode) in [("s3/monthend-data/raw/a.json", 0o600), ("s3", 0o700), ("kind.json", 0o600)] {
        let found = fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{path}");
    }
    assert_eq!(fs::read_dir(home.s3()).unwrap().count(), 2, "the buckets");
}

#[tokio::test]
async fn jobs_of_one_transaction_fail_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(folder.path().join("home")).unwrap();
    let store = store(&home);
    let database = store.database();
    let insert = |name: &'static str| {
        database.write(move |change| change.execute("INSERT INTO buckets VALUES (?, 1)", [name]).map(drop))
    };
    let made = futures::future::join_all(["a", "b", "a", "c"].map(insert)).await;
    assert_eq!(made.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false, true]);
    assert_eq!(store.buckets().await.unwrap().len(), 3);
}

#[tokio::test]
async fn what_could_not_be_put_to_its_place_is_listed_and_read_until_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(folder.path().join("home")).unwrap();
    let store = store(&home);
    store.make_bucket(BUCKET).await.unwrap();
    put(&store, "notes/a/b.txt", "hello").await.unwrap();
    let name: String = store
        .database()
        .read(|database| database.query_row("SELECT file FROM moves", [], |row| row.get(0)))
        .unwrap();
    // as if there had been no room for the folder
    fs::rename(home.object("notes/a/b.txt"), home.new_files().join(name)).unwrap();
    fs::remove_dir_all(home.object("notes")).unwrap();
    assert_eq!(read(&store, "notes/a/b.txt").await.as_deref(), Some("hello"));
    store.take_in(BUCKET, "").await.unwrap();
    assert_eq!(store.page(BUCKET, ("", true), None, 10).unwrap().len(), 1);
    assert_eq!(read(&store, "notes/a/b.txt").await.as_deref(), Some("hello"));
    assert!(home.object("notes/a/b.txt").is_file(), "there is room again");
}

#[tokio::test]
async fn files_that_are_not_ours_stay() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("own");
    let files = ["new/mine.txt", "queue/q.txt", "dead-letters/d.txt", "s3/.hidden", "mails/m.txt"];
    for file in files {
        fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
        fs::write(root.join(file), "mine").unwrap();
    }
    let home = Home::open(&root).unwrap();
    store(&home).close();
    drop(store(&home));
    for file in files {
        assert_eq!(fs::read_to_string(root.join(file)).unwrap(), "mine", "{file}");
    }
}

#[tokio::test]
async fn a_database_that_somebody_removed_is_made_anew_of_what_stands() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(folder.path().join("home")).unwrap();
    let before = store(&home);
    before.make_bucket(BUCKET).await.unwrap();
    put(&before, "a", "one").await.unwrap();
    before.close();
    fs::remove_file(home.store()).unwrap();
    fs::write(home.root().join("store.sqlite-wal"), vec![7; 5000]).unwrap();
    assert_eq!(read(&store(&home), "a").await.as_deref(), Some("one"));
}
