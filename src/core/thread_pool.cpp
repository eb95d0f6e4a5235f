#include "core/thread_pool.hpp"

#if defined(__EMSCRIPTEN__)
#include <emscripten/threading.h>

#include <limits>
#endif

namespace headwise {
namespace {

// About 10 µs of one thread's work. A spinning helper joins within a microsecond, a sleeping one late or never.
constexpr double kSharedFlops = 4e5;

// How often an idle thread checks before it sleeps: about 50 µs, which is longer than the gaps inside one call and
// between consecutive calls. WebAssembly has no pause instruction, so a check takes about a nanosecond there.
#if defined(__x86_64__)
constexpr int kSpins = 1 << 11;
inline void pause() { __builtin_ia32_pause(); }
#else
constexpr int kSpins = 1 << 16;
inline void pause() {}
#endif

// Sleeps while `value` is `old`; may wake spuriously. After `value` has changed, wake_all wakes it. Emscripten's build
// uses the futex directly: std::atomic::wait polls there (four idle threads took 4 % of a core), and a condition
// variable woke threads after 0.18 ms in the median, the futex after 0.08 ms. Without threads nothing sleeps, and the
// futex is a stub, where std::atomic::wait would add 0.8 KB of clocks.
#if defined(__EMSCRIPTEN__)
void sleep_while(std::atomic<std::uint32_t>& value, std::uint32_t old) {
  emscripten_futex_wait(&value, old, std::numeric_limits<double>::infinity());
}
void wake_all(std::atomic<std::uint32_t>& value) { emscripten_futex_wake(&value, std::numeric_limits<int>::max()); }
#else
void sleep_while(std::atomic<std::uint32_t>& value, std::uint32_t old) { value.wait(old); }
void wake_all(std::atomic<std::uint32_t>& value) { value.notify_all(); }
#endif

}  // namespace

Status ThreadPool::start(std::size_t threads) {
  if (threads < 1 || threads > kMaxThreads) return Status::kInvalidArgument;
  // pthread_create, not std::thread, because it returns its failure instead of throwing.
  const auto main = [](void* argument) -> void* {
    const auto* helper = static_cast<Helper*>(argument);
    helper->pool->help(helper->worker);
    return nullptr;
  };
  while (helpers_ + 1 < threads) {
    Helper& helper = helper_[helpers_];
    helper.pool = this;
    helper.worker = helpers_ + 1;
    if (pthread_create(&helper.thread, nullptr, main, &helper) != 0) {
      stop();
      return Status::kNoThreads;
    }
    ++helpers_;
  }
  return Status::kOk;
}

void ThreadPool::stop() {
  stopping_.store(true);
  wake_helpers();
  while (helpers_ > 0) pthread_join(helper_[--helpers_].thread, nullptr);
}

void ThreadPool::run(const Job& job, double flops) {
  if (helpers_ == 0 || job.tasks < 2 || flops < kSharedFlops) {
    for (std::size_t task = 0; task < job.tasks; ++task) job.call(job.context, task, 0);
    return;
  }
  job_ = job;
  next_task_.store(0, std::memory_order_relaxed);
  gate_.store(0, std::memory_order_release);  // open: helpers may now read job_
  wake_helpers();
  run_tasks(0);
  // All tasks are taken. Late helpers can no longer join; those inside finish their tasks.
  gate_.fetch_or(kClosed);
  for (int spins = 0; spins < kSpins; ++spins) {
    if (gate_.load() == kClosed) return;
    pause();
  }
  caller_sleeps_.store(true);  // before the last read of gate_: leave_job changes gate_ before it reads this
  for (std::uint32_t gate = gate_.load(); gate != kClosed; gate = gate_.load()) sleep_while(gate_, gate);
  caller_sleeps_.store(false);
}

void ThreadPool::run_tasks(std::size_t worker) {
  for (;;) {
    const std::size_t task = next_task_.fetch_add(1, std::memory_order_relaxed);
    if (task >= job_.tasks) return;
    job_.call(job_.context, task, worker);
  }
}

void ThreadPool::help(std::size_t worker) {
  std::uint32_t epoch = 0;
  for (;;) {
    epoch = wait_for_job_after(epoch);
    if (stopping_.load()) return;
    if (!join_job()) continue;
    run_tasks(worker);
    leave_job();
  }
}

std::uint32_t ThreadPool::wait_for_job_after(std::uint32_t epoch) {
  for (int spins = 0; spins < kSpins; ++spins) {
    if (epoch_.load(std::memory_order_acquire) != epoch) return epoch_.load();
    pause();
  }
  sleepers_.fetch_add(1);  // before the last read of epoch_: wake_helpers changes epoch_ before it reads this
  while (epoch_.load() == epoch) sleep_while(epoch_, epoch);
  sleepers_.fetch_sub(1);
  return epoch_.load();
}

void ThreadPool::wake_helpers() {
  epoch_.fetch_add(1);
  if (sleepers_.load() > 0) wake_all(epoch_);
}

bool ThreadPool::join_job() {
  std::uint32_t gate = gate_.load(std::memory_order_relaxed);
  while ((gate & kClosed) == 0) {
    if (gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acquire)) return true;
  }
  return false;
}

void ThreadPool::leave_job() {
  if (gate_.fetch_sub(1) == (kClosed | 1) && caller_sleeps_.load()) wake_all(gate_);
}

}  // namespace headwise
