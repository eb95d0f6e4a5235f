#include <atomic>
#include <chrono>
#include <thread>

#include "support.hpp"

namespace headwise::test {
namespace {

constexpr double kWorthSharing = 1e9;

TEST_CASE("each task runs once, on a worker of the pool") {
  for (const std::size_t threads : {1, 2, 4}) {
    if (threads > 1 && !kHasThreads) continue;
    ThreadPool pool;
    REQUIRE(pool.start(threads) == Status::kOk);
    CHECK(pool.threads() == threads);
    for (std::size_t round = 0; round < 500; ++round) {
      const std::size_t tasks = round % 37;
      std::vector<std::atomic<int>> runs(tasks);
      pool.parallel_for(tasks, kWorthSharing, [&](std::size_t task, std::size_t worker) {
        CHECK_FALSE(worker >= threads);
        runs[task].fetch_add(1);
      });
      for (const auto& count : runs) CHECK(count.load() == 1);
    }
  }
}

TEST_CASE("helpers that sleep wake for the next job" * doctest::description("and really take part")) {
  if (!kHasThreads) return;
  ThreadPool pool;
  REQUIRE(pool.start(2) == Status::kOk);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  // Both tasks wait for each other: this returns only if two threads run them.
  std::atomic<int> inside{0};
  pool.parallel_for(2, kWorthSharing, [&](std::size_t, std::size_t) {
    inside.fetch_add(1);
    while (inside.load() < 2) std::this_thread::yield();
  });
  CHECK(inside.load() == 2);
}

TEST_CASE("the caller waits for a helper that takes long") {
  if (!kHasThreads) return;
  ThreadPool pool;
  REQUIRE(pool.start(2) == Status::kOk);
  for (int round = 0; round < 3; ++round) {
    std::atomic<int> inside{0}, done{0};
    pool.parallel_for(2, kWorthSharing, [&](std::size_t, std::size_t worker) {
      inside.fetch_add(1);
      while (inside.load() < 2) std::this_thread::yield();  // one task each
      if (worker != 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      done.fetch_add(1);
    });
    CHECK(done.load() == 2);
  }
}

TEST_CASE("small work stays on the caller") {
  if (!kHasThreads) return;
  ThreadPool pool;
  REQUIRE(pool.start(2) == Status::kOk);
  const auto caller = std::this_thread::get_id();
  pool.parallel_for(100, 1000, [&](std::size_t, std::size_t worker) {
    CHECK(worker == 0);
    CHECK(std::this_thread::get_id() == caller);
  });
}

TEST_CASE("a pool has 1 to 64 threads") {
  ThreadPool pool;
  CHECK(pool.start(0) == Status::kInvalidArgument);
  CHECK(pool.start(65) == Status::kInvalidArgument);
}

}  // namespace
}  // namespace headwise::test
