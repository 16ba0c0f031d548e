//! Downloads from both hubs, whole and with everything that goes wrong on the way.

mod fake;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fake::{Act, COMMIT, FakeHub, noise, sha256};
use tempfile::TempDir;
use vita_base::{Cancel, Hint};
use vita_hub::{Client, Error, Event, Existing, Hub, Options, Parts, Patience, Remote, existing};

const REPOSITORY: &str = "Owner/Name";
const FILE: &str = "split_files/vae/x.safetensors";
const SIZE: usize = 10_000;
const PARTS: Parts = Parts { connections: 3, part_bytes: 1_000 };

/// A hub with one file, and a place for it.
struct Setup {
    hub: FakeHub,
    client: Client,
    bytes: Vec<u8>,
    folder: TempDir,
}

impl Setup {
    fn of(hub: Hub, token: Option<&str>, silence: Duration) -> Self {
        let fake = FakeHub::start();
        let bytes = noise(SIZE);
        fake.put(REPOSITORY, FILE, bytes.clone());
        fake.put(REPOSITORY, "split_files/other", "other");
        let wait = Duration::from_millis(1);
        let client = Client::new(Options {
            hub,
            endpoint: Some(format!("{}/", fake.endpoint)),
            token: token.map(str::to_owned),
            proxy: None,
            user_agent: "vitascope/test".into(),
            patience: Patience { attempts: 3, first_wait: wait, wait_max: wait, silence },
        });
        Self { hub: fake, client: client.unwrap(), bytes, folder: tempfile::tempdir().unwrap() }
    }

    fn new() -> Self {
        Self::of(Hub::HuggingFace, None, Duration::from_secs(10))
    }

    fn remote(&self) -> Remote {
        self.client.find(REPOSITORY, FILE).unwrap()
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("models/vae/x.safetensors")
    }

    fn download(&self, remote: &Remote) -> Result<(), Error> {
        self.client.download(remote, &self.path(), PARTS, &Cancel::default(), &|_| {})
    }

    #[track_caller]
    fn assert_whole(&self) {
        assert!(fs::read(self.path()).unwrap() == self.bytes, "the bytes are those of the hub");
        assert_eq!(self.names(), ["x.safetensors"], "nothing else is left");
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path().parent().unwrap()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

/// Message and hint, without what differs from run to run.
fn said(error: &Error, hub: &FakeHub) -> String {
    format!("{error} / {}", error.hint().unwrap_or_default()).replace(&hub.endpoint, "HUB")
}

#[test]
fn a_file_comes_in_parts_and_the_token_stays_at_home() {
    let setup = Setup::of(Hub::HuggingFace, Some(" hf_secret\n"), Duration::from_secs(10));
    let remote = setup.remote();
    assert_eq!((remote.size_bytes, remote.sha256.as_deref()), (SIZE as u64, Some(sha256(&setup.bytes).as_str())));
    let events = Mutex::new(Vec::new());
    let observe = |event| events.lock().unwrap().push(event);
    setup.client.download(&remote, &setup.path(), PARTS, &Cancel::default(), &observe).unwrap();
    setup.assert_whole();

    let requests = setup.hub.requests();
    let (at_storage, at_hub): (Vec<_>, Vec<_>) = requests.iter().partition(|request| request.at_storage);
    assert_eq!(at_storage.len(), 10);
    assert!(at_storage.iter().all(|request| !request.headers.contains_key("authorization")));
    let token = Some("Bearer hf_secret".to_owned());
    assert!(at_hub.iter().all(|request| request.headers.get("authorization") == token.as_ref()));
    // What was found is what is fetched, even if the branch moves on.
    assert!(at_hub[0].target.contains("/resolve/main/"));
    assert!(at_hub[1..].iter().all(|request| request.target.contains(&format!("/resolve/{COMMIT}/"))));
    let events = events.into_inner().unwrap();
    assert_eq!(events[0], Event::Received(0));
    assert!(events.contains(&Event::Received(SIZE as u64)));
    assert_eq!(events.last(), Some(&Event::Checked(SIZE as u64)));
}

#[test]
fn modelscope_has_other_paths() {
    let setup = Setup::of(Hub::ModelScope, Some("ms-secret"), Duration::from_secs(10));
    let remote = setup.remote();
    assert_eq!(remote.sha256.as_deref(), Some(sha256(&setup.bytes).as_str()));
    setup.download(&remote).unwrap();
    setup.assert_whole();
    assert_eq!(setup.client.licence(REPOSITORY).as_deref(), Some("Apache License 2.0"));
    for request in setup.hub.requests() {
        assert_eq!(request.headers["authorization"], "Bearer ms-secret");
        assert_eq!(request.headers["cookie"], "m_session_id=ms-secret");
        assert!(request.target.starts_with("/api/v1/models/Owner/Name"), "{}", request.target);
    }
}

#[test]
fn licences() {
    let setup = Setup::new();
    assert_eq!(setup.client.licence(REPOSITORY).as_deref(), Some("apache-2.0"));
    assert_eq!(setup.client.licence("No/Such"), None);
}

#[test]
fn cuts_cost_nothing_that_came() {
    let setup = Setup::new();
    let remote = setup.remote();
    setup.hub.rule(|request| if request.at_storage { Act::Cut(300) } else { Act::Serve });
    setup.download(&remote).unwrap();
    setup.assert_whole();
    let starts = setup.hub.requests().iter().filter(|r| r.at_storage).map(|r| r.range().unwrap().0).collect::<Vec<_>>();
    let mut unique = starts.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!((starts.len(), unique.len()), (40, 40), "each byte was asked for where the one before it had come");
}

#[test]
fn a_download_goes_on_where_it_was_after_the_program_ended() {
    let setup = Setup::new();
    let remote = setup.remote();
    let mut served = 0;
    setup.hub.rule(move |request| {
        served += usize::from(request.at_storage);
        if request.at_storage && served > 4 { Act::Refuse(500, &[], "") } else { Act::Serve }
    });
    let error = setup.download(&remote).unwrap_err();
    assert!(matches!(error, Error::Server { status: 500, attempts: 3, .. }), "{error}");
    assert_eq!(setup.names(), ["x.safetensors.partial", "x.safetensors.partial.json"]);
    setup.hub.requests();

    setup.hub.rule(|_| Act::Serve);
    setup.download(&remote).unwrap();
    setup.assert_whole();
    let again = setup.hub.requests().iter().filter(|request| request.at_storage).count();
    assert!((6..10).contains(&again), "four of ten parts were there, one of them perhaps not whole: {again}");
}

#[test]
fn another_file_under_the_same_name_begins_anew() {
    let mut setup = Setup::new();
    let stop = Cancel::default();
    let observe = |event| {
        if event >= Event::Received(3_000) {
            stop.cancel()
        }
    };
    let error = setup.client.download(&setup.remote(), &setup.path(), PARTS, &stop, &observe).unwrap_err();
    assert!(matches!(error, Error::Stopped));
    setup.bytes.reverse();
    setup.hub.put(REPOSITORY, FILE, setup.bytes.clone());
    setup.download(&setup.remote()).unwrap();
    setup.assert_whole();
}

#[test]
fn servers_that_fail_for_a_while_are_asked_again() {
    for (status, headers) in [(503, &[("Retry-After", "0")][..]), (429, &[]), (502, &[]), (408, &[])] {
        let setup = Setup::new();
        let mut seen = BTreeSet::new();
        // Each request fails once, at the hub and at the other host.
        setup.hub.rule(move |request| match seen.insert((request.target.clone(), request.range())) {
            true => Act::Refuse(status, headers, ""),
            false => Act::Serve,
        });
        setup.download(&setup.remote()).unwrap();
        setup.assert_whole();
    }
}

#[test]
fn an_address_that_grew_old_is_asked_for_anew() {
    let setup = Setup::new();
    let remote = setup.remote();
    let asked = AtomicUsize::new(0);
    setup.hub.rule(move |request| match request.at_storage && asked.fetch_add(1, Ordering::Relaxed) == 2 {
        true => Act::Refuse(403, &[], "<Error>expired</Error>"),
        false => Act::Serve,
    });
    setup.download(&remote).unwrap();
    setup.assert_whole();
}

#[test]
fn servers_without_ranges_send_the_whole_file() {
    let setup = Setup::new();
    let remote = setup.remote();
    setup.hub.rule(|request| if request.at_storage { Act::Whole } else { Act::Serve });
    setup.download(&remote).unwrap();
    setup.assert_whole();
}

#[test]
fn silence_is_not_waited_for() {
    let setup = Setup::of(Hub::HuggingFace, None, Duration::from_millis(100));
    let remote = setup.remote();
    let asked = AtomicUsize::new(0);
    setup.hub.rule(move |request| match request.at_storage && asked.fetch_add(1, Ordering::Relaxed) == 0 {
        true => Act::Stall(200),
        false => Act::Serve,
    });
    let start = Instant::now();
    setup.download(&remote).unwrap();
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    setup.assert_whole();
}

#[test]
fn a_wrong_checksum_leaves_nothing() {
    let setup = Setup::new();
    let remote = setup.remote();
    let is_at = |request: &fake::Request, place| request.at_storage && request.range().unwrap().0 == place;
    setup.hub.rule(move |request| if is_at(request, 7_000) { Act::Damage } else { Act::Serve });
    let error = setup.download(&remote).unwrap_err();
    let mut damaged = setup.bytes.clone();
    damaged[7_000] ^= 1;
    assert_eq!(
        said(&error, &setup.hub),
        format!(
            "`{FILE}` came with another checksum than Hugging Face states: SHA-256 {} instead of {}; it was removed / \
             pull again; if it happens twice, something on the way changes files: choose the other hub with --from",
            sha256(&damaged),
            sha256(&setup.bytes)
        )
    );
    assert!(setup.names().is_empty());
    setup.hub.rule(|_| Act::Serve);
    setup.download(&remote).unwrap();
    setup.assert_whole();
}

#[test]
fn downloads_that_end_short() {
    // The file is shorter at the other host; or its end never comes.
    for act in [Act::Short(9_500), Act::Cut(0)] {
        let setup = Setup::new();
        let remote = setup.remote();
        setup.hub.rule(move |request| match request.range() {
            Some((start, _)) if request.at_storage && start >= 9_000 => act.clone(),
            _ => Act::Serve,
        });
        let error = setup.download(&remote).unwrap_err();
        let said = said(&error, &setup.hub);
        let start = "the download of `split_files/vae/x.safetensors` ended short: ";
        assert!(said.starts_with(start) && said.contains("of its 9.77 KiB did not come / pull again"), "{said}");
        assert!(!setup.path().exists() && !setup.names().is_empty(), "what came is kept");
    }
}

#[test]
fn answers_of_something_else_than_a_hub() {
    let setup = Setup::new();
    let remote = setup.remote();
    setup.hub.rule(|request| if request.at_storage { Act::OtherRange } else { Act::Serve });
    let error = setup.download(&remote).unwrap_err();
    assert!(matches!(&error, Error::Answer { problem, .. } if problem.starts_with("with bytes `bytes ")), "{error}");
    assert!(!error.to_string().contains("secret"), "signatures are not shown");

    setup.hub.rule(|_| Act::Refuse(302, &[("Location", "/again")], ""));
    let error = setup.client.find(REPOSITORY, FILE).unwrap_err();
    assert_eq!(error.to_string(), format!("`{}/again` answered with one redirect after the other", setup.hub.endpoint));

    let scope = Setup::of(Hub::ModelScope, None, Duration::from_secs(10));
    scope.hub.rule(|_| Act::Refuse(200, &[], "<html>Please log in"));
    let error = scope.client.find(REPOSITORY, FILE).unwrap_err();
    let said = said(&error, &scope.hub);
    assert!(said.contains("answered with something else than a hub's list: "), "{said}");
    assert!(said.ends_with("check --endpoint: it may be no hub, or a page of a network that wants a login"), "{said}");
}

#[test]
fn a_repository_that_moved_is_followed_with_the_token() {
    let setup = Setup::of(Hub::HuggingFace, Some("hf_secret"), Duration::from_secs(10));
    setup.hub.rule(|request| match request.target.contains("/Owner/Old/") {
        true => Act::Refuse(
            307,
            &[("Location", "/Owner/Name/resolve/main/split_files/vae/x.safetensors")],
            "Temporary Redirect",
        ),
        false => Act::Serve,
    });
    let remote = setup.client.find("Owner/Old", FILE).unwrap();
    assert_eq!(remote.size_bytes, SIZE as u64);
    assert!(setup.hub.requests().iter().all(|request| request.headers["authorization"] == "Bearer hf_secret"));
}

/// Hub, whether there is a token, status, code, what the body says; what is said to the user.
type Refusal = (Hub, bool, u16, &'static str, &'static str, &'static str);

const GATED: &str =
    "`Owner/Name` can be read only by those who accepted its terms / accept the terms at HUB/Owner/Name";
const NO_REPOSITORY: &str = "Hugging Face has no repository `Owner/Name`, or does not show it to everybody / HUB may not \
                             mirror it; leave --endpoint out, or choose the other hub with --from";
const NO_FILE: &str = "Hugging Face has no file `split_files/vae/x.safetensors` in `Owner/Name` / HUB may not mirror it; \
                       leave --endpoint out, or choose the other hub with --from";

const REFUSALS: &[Refusal] = &[
    (
        Hub::HuggingFace,
        false,
        401,
        "",
        "",
        "Hugging Face lets nobody read `Owner/Name` without a token / make a token at \
         https://huggingface.co/settings/tokens and set HF_TOKEN to it",
    ),
    (
        Hub::HuggingFace,
        true,
        401,
        "",
        "",
        "Hugging Face lets nobody read `Owner/Name` without a valid token; it refused the one given / make a token at",
    ),
    (
        Hub::ModelScope,
        true,
        401,
        "",
        "",
        "ModelScope lets nobody read `Owner/Name` without a valid token; it refused the one given / make a token at \
         https://modelscope.cn/my/myaccesstoken and set MODELSCOPE_API_TOKEN to it",
    ),
    (Hub::HuggingFace, false, 401, "GatedRepo", "", GATED),
    (Hub::HuggingFace, true, 403, "GatedRepo", "", GATED),
    (
        Hub::ModelScope,
        true,
        403,
        "",
        r#"{"Message":"no right\nto read"}"#,
        "ModelScope does not let you read `Owner/Name`: \"no right to read\" / check which rights the token",
    ),
    (Hub::HuggingFace, false, 401, "RepoNotFound", "", NO_REPOSITORY),
    (Hub::HuggingFace, true, 404, "RepoNotFound", "", NO_REPOSITORY),
    (Hub::HuggingFace, true, 404, "EntryNotFound", "", NO_FILE),
    (Hub::HuggingFace, true, 404, "", "", NO_FILE),
    (
        Hub::ModelScope,
        false,
        404,
        "",
        "{}",
        "ModelScope has no repository `Owner/Name`, or does not show it to everybody",
    ),
    (
        Hub::HuggingFace,
        false,
        500,
        "",
        "",
        "`HUB` answered 500 each of 3 times / the fault is the server's: pull again later",
    ),
    (
        Hub::ModelScope,
        false,
        503,
        "",
        r#"{"error":"busy"}"#,
        "`HUB` answered 503 each of 3 times: \"busy\" / the fault",
    ),
    (Hub::HuggingFace, false, 429, "", "", "`HUB` answered 429 each of 3 times / too many requests came from here"),
    (
        Hub::HuggingFace,
        false,
        418,
        "",
        "",
        "`HUB/Owner/Name/resolve/main/split_files/vae/x.safetensors` answered with status 418 I'm a teapot / check --endpoint",
    ),
];

#[test]
fn refusals_say_what_to_do() {
    for &(hub, has_token, status, code, body, want) in REFUSALS {
        let setup = Setup::of(hub, has_token.then_some("secret"), Duration::from_secs(10));
        let headers: &'static [(&str, &str)] = match code {
            "" => &[],
            code => Box::leak(Box::new([("X-Error-Code", code)])),
        };
        setup.hub.rule(move |_| Act::Refuse(status, headers, body));
        let error = setup.client.find(REPOSITORY, FILE).unwrap_err();
        let said = said(&error, &setup.hub);
        assert!(said.starts_with(want), "{said}\n{want}");
    }
    // A file that a list lacks.
    let setup = Setup::of(Hub::ModelScope, None, Duration::from_secs(10));
    let error = setup.client.find(REPOSITORY, "no/such").unwrap_err().to_string();
    assert_eq!(error, "ModelScope has no file `no/such` in `Owner/Name`");
}

#[test]
fn nobody_at_the_address() {
    let client = |endpoint: &str, token: Option<&str>| {
        let wait = Duration::from_millis(1);
        let patience = Patience { attempts: 2, first_wait: wait, wait_max: wait, silence: Duration::from_secs(5) };
        Client::new(Options {
            hub: Hub::HuggingFace,
            endpoint: Some(endpoint.into()),
            token: token.map(str::to_owned),
            proxy: None,
            user_agent: "vitascope/test".into(),
            patience,
        })
    };
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = client(&format!("http://{closed}"), None).unwrap().find(REPOSITORY, FILE).unwrap_err();
    assert!(error.to_string().starts_with(&format!("`http://{closed}` cannot be reached: ")), "{error}");
    for wrong in ["huggingface.co", "ftp://huggingface.co", "https://"] {
        let error = client(wrong, None).err().unwrap();
        assert_eq!(error.to_string(), format!("`{}` is no address of a hub", wrong.trim_end_matches('/')));
    }
    for wrong in ["two words", "line\r\nbreak", "tö"] {
        let error = client("https://huggingface.co", Some(wrong)).err().unwrap();
        assert_eq!(error.to_string(), "what HF_TOKEN holds is no token");
    }
}

#[test]
fn what_is_there_already_is_judged() {
    let setup = Setup::new();
    let remote = setup.remote();
    let judge = || existing(&setup.path(), &remote, &Cancel::default(), &|_| {}).unwrap();
    assert_eq!(judge(), Existing::Missing);
    setup.download(&remote).unwrap();
    assert_eq!(judge(), Existing::Whole);
    let mut bytes = setup.bytes.clone();
    bytes[5] ^= 1;
    fs::write(setup.path(), &bytes).unwrap();
    assert_eq!(judge(), Existing::Other { size_bytes: SIZE as u64 });
    fs::write(setup.path(), "x").unwrap();
    assert_eq!(judge(), Existing::Other { size_bytes: 1 });
}

#[test]
fn two_at_once_do_not_mix() {
    let setup = Setup::new();
    let remote = setup.remote();
    let second = Mutex::new(None);
    let observe = |_| {
        let mut second = second.lock().unwrap();
        if second.is_none() {
            *second = Some(setup.download(&remote).unwrap_err());
        }
    };
    setup.client.download(&remote, &setup.path(), PARTS, &Cancel::default(), &observe).unwrap();
    let second = second.into_inner().unwrap().unwrap();
    assert_eq!(second.to_string(), format!("`{}` is being written by another process", setup.path().display()));
    setup.assert_whole();
}
