//! The history in parts, its limits, and lists of jobs.

use super::*;

#[test]
fn the_history_is_read_in_parts_from_memory_and_from_disk() {
    let cases: [(Option<usize>, Option<usize>, &str); 9] = [
        (None, None, "a b c d e"),
        (Some(2), None, "d e"),
        (Some(9), None, "a b c d e"),
        (Some(0), None, ""),
        (None, Some(1), "b c d e"),
        (Some(2), Some(1), "b c"),
        (Some(2), Some(4), "e"),
        (Some(2), Some(9), ""),
        (None, Some(0), "a b c d e"),
    ];
    // All in memory; two or so; none.
    for history_memory_bytes in [1 << 20, 2000, 0] {
        let bench = Bench { history_memory_bytes, ..Bench::new() };
        let queue = bench.open();
        for id in ["a", "b", "c", "d", "e"] {
            submit(&queue, id, Place::Back);
        }
        bench.drain(&queue);
        for (max_items, offset, expected) in cases {
            assert_eq!(history(&queue, max_items, offset), expected, "{max_items:?} {offset:?}");
        }
        let before: Vec<String> = describe(&queue);
        drop(queue);
        let queue = bench.open();
        assert_eq!(describe(&queue), before);
        assert_eq!(queue.delete_history(&ids(&["b", "b", "unknown"])).unwrap(), 1);
        assert_eq!(history(&queue, None, Some(1)), "c d e");
        assert!(queue.history_entry("b").unwrap().is_none());
        assert_eq!(&*queue.history_entry("d").unwrap().unwrap().job.id, "d");
        assert_eq!(queue.clear_history().unwrap(), 4);
        assert_eq!(history(&queue, None, None), "");
    }
}

#[test]
fn an_id_used_again_takes_the_place_of_the_older_entry() {
    let bench = Bench::new();
    let queue = bench.open();
    let first = json!({"outputs": {"2": {"text": ["first"]}}});
    queue.submit(submission("a", Place::Back, first)).unwrap();
    submit(&queue, "b", Place::Back);
    let second = json!({"outputs": {"2": {"text": ["second"]}}});
    queue.submit(submission("a", Place::Back, second)).unwrap();
    bench.drain(&queue);
    let look = |queue: &Queue| {
        let entry = queue.history_entry("a").unwrap().unwrap();
        (history(queue, None, None), entry.outputs["2"]["text"][0].clone(), queue.jobs(&JobsQuery::default()).total)
    };
    let expected = ("b a".to_owned(), json!("second"), 2);
    assert_eq!(look(&queue), expected);
    drop(queue);
    assert_eq!(look(&bench.open()), expected);
}

#[test]
fn the_history_is_cut_by_count_and_by_age() {
    let count = HistoryLimit { count: Some(2), age: None };
    let age = HistoryLimit { count: None, age: Some(Duration::from_secs(60)) };
    for (limit, before, after) in [(count, "b c", "b c"), (age, "a b c", "c")] {
        let bench = Bench { limit, ..Bench::new() };
        let queue = bench.open();
        for id in ["a", "b", "c"] {
            bench.time_ms.fetch_add(29_000, Ordering::Relaxed);
            submit(&queue, id, Place::Back);
            bench.drain(&queue);
        }
        assert_eq!(history(&queue, None, None), before);
        drop(queue);
        bench.time_ms.fetch_add(45_000, Ordering::Relaxed);
        assert_eq!(history(&bench.open(), None, None), after);
    }
}

#[test]
fn jobs_of_every_state_are_listed_sorted_and_paged() {
    let bench = Bench::new();
    let queue = bench.open();
    for (id, ms) in [("fast", 10), ("slow", 90), ("middle", 50)] {
        queue.submit(submission(id, Place::Back, json!({"ms": ms}))).unwrap();
    }
    bench.drain(&queue);
    submit(&queue, "runs", Place::Back);
    let mut tagged = submission("waits", Place::Back, json!({}));
    tagged.extra_data.insert("extra_pnginfo".into(), json!({"workflow": {"id": "flow"}}));
    queue.submit(tagged).unwrap();
    let mut worker = bench.worker(&queue);
    worker.step();
    let query = JobsQuery::default();
    let duration = JobsQuery { sort_by: SortBy::Duration, ..query.clone() };
    let cases = [
        (query.clone(), "waits runs middle slow fast", 5),
        (JobsQuery { ascending: true, ..query.clone() }, "fast slow middle runs waits", 5),
        (JobsQuery { limit: Some(2), offset: 1, ..query.clone() }, "runs middle", 5),
        (JobsQuery { offset: 9, ..query.clone() }, "", 5),
        (JobsQuery { limit: Some(3), ..duration.clone() }, "slow middle fast", 5),
        (JobsQuery { ascending: true, offset: 2, ..duration }, "fast middle slow", 5),
        (JobsQuery { statuses: vec![JobStatus::Pending, JobStatus::InProgress], ..query.clone() }, "waits runs", 2),
        (JobsQuery { statuses: vec![JobStatus::Completed], ..query.clone() }, "middle slow fast", 3),
        (JobsQuery { workflow_id: Some("flow".into()), ..query }, "waits", 1),
    ];
    for (query, expected, total) in cases {
        let page = queue.jobs(&query);
        let found: Vec<&str> = page.jobs.iter().map(|job| &*job.id).collect();
        assert_eq!((found.join(" ").as_str(), page.total), (expected, total), "{query:?}");
    }
}

#[test]
fn outputs_are_counted_and_one_stands_for_the_job() {
    let file = |name: &str, kind: &str| json!({"filename": name, "subfolder": "", "type": kind});
    let cases = [
        (json!({}), 0, 0, None),
        (
            json!({"2": {"images": [file("t.png", "temp"), file("o.png", "output")], "animated": [true]}}),
            2,
            2,
            Some("2 images o.png"),
        ),
        (
            json!({"2": {"images": [file("t.png", "temp")]}, "3": {"images": [file("u.png", "temp")]}}),
            2,
            2,
            Some("2 images t.png"),
        ),
        (
            json!({"2": {"gifs": [{"filename": "v.mp4", "type": "output", "format": "video/h264-mp4"}]}}),
            1,
            1,
            Some("2 gifs v.mp4"),
        ),
        (json!({"2": {"latents": [file("l.latent", "output")]}}), 1, 0, None),
        (json!({"2": {"result": [file("m.GLB", "output")]}}), 1, 1, Some("2 result m.GLB")),
        (json!({"2": {"text": ["words"], "number": 3}}), 0, 0, None),
    ];
    for (outputs, outputs_count, previewable_count, preview) in cases {
        let bench = Bench::new();
        let queue = bench.open();
        queue.submit(submission("a", Place::Back, json!({"outputs": outputs}))).unwrap();
        bench.drain(&queue);
        drop(queue);
        let summary = bench.open().job("a").unwrap().unwrap().summary;
        let result = summary.result.clone().unwrap();
        assert_eq!((result.outputs_count, result.previewable_count), (outputs_count, previewable_count), "{outputs}");
        let found = result.preview.as_ref().map(|preview| {
            format!("{} {} {}", preview.node_id, preview.media_type, preview.item["filename"].as_str().unwrap())
        });
        assert_eq!(found.as_deref(), preview, "{outputs}");
    }
}
