//! Runs several queries at once, because most of the time of each is spent waiting.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// How many questions are on their way at once: few enough for a small server, many enough for a distant one.
const AT_ONCE: usize = 8;

/// The answers to all questions, in their order.
pub fn each<Q: Sync, A: Send>(questions: &[Q], ask: impl Fn(&Q) -> A + Sync) -> Vec<A> {
    let next = AtomicUsize::new(0);
    let work = || -> Vec<(usize, A)> {
        let mut answers = Vec::new();
        while let Some((place, question)) = {
            let place = next.fetch_add(1, Ordering::Relaxed);
            questions.get(place).map(|question| (place, question))
        } {
            answers.push((place, ask(question)));
        }
        answers
    };
    let mut answers: Vec<(usize, A)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE.min(questions.len()))
            .map(|_| scope.spawn(work))
            .collect();
        let done = workers.into_iter().map(|worker| worker.join());
        done.flat_map(|answers| answers.unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    answers.sort_by_key(|(place, _)| *place);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_the_order_of_the_questions() {
        let questions: Vec<usize> = (0..100).collect();
        let doubled: Vec<usize> = questions.iter().map(|n| n * 2).collect();
        assert_eq!(each(&questions, |n| n * 2), doubled);
        assert_eq!(each(&[0; 0], |n| *n), [0; 0]);
    }
}
