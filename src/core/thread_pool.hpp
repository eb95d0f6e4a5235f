// A pool of threads of fixed size, for loops whose iterations are independent.
#pragma once

#include <pthread.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/status.hpp"

namespace headwise {

class ThreadPool {
 public:
  ThreadPool() = default;
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool() { stop(); }

  // `threads` (1 … 64) includes the caller of parallel_for: start(1) starts none. To be called once.
  Status start(std::size_t threads);
  // Ends and joins all threads.
  void stop();

  std::size_t threads() const { return helpers_ + 1; }

  // Calls fn(task, worker) once for each task in [0, tasks), in any order, on any thread; returns when all are done.
  // `worker` < threads() identifies the thread's scratch. `flops`, the work of the whole loop, decides whether to use
  // the other threads. Not reentrant, and to be called from one thread at a time.
  template <class Fn>
  void parallel_for(std::size_t tasks, double flops, const Fn& fn) {
    const auto call = [](const void* context, std::size_t task, std::size_t worker) {
      (*static_cast<const Fn*>(context))(task, worker);
    };
    run({call, &fn, tasks}, flops);
  }

 private:
  static constexpr std::size_t kMaxThreads = 64;
  // Set in gate_ when no more helpers may join the job. The lower bits count the helpers inside.
  static constexpr std::uint32_t kClosed = 1u << 31;

  struct Job {
    void (*call)(const void* context, std::size_t task, std::size_t worker);
    const void* context;
    std::size_t tasks;
  };
  struct Helper {
    ThreadPool* pool;
    std::size_t worker;
    pthread_t thread;
  };

  void run(const Job& job, double flops);
  void run_tasks(std::size_t worker);
  void help(std::size_t worker);
  std::uint32_t wait_for_job_after(std::uint32_t epoch);
  void wake_helpers();
  bool join_job();
  void leave_job();

  std::array<Helper, kMaxThreads - 1> helper_{};
  std::size_t helpers_ = 0;
  Job job_{};
  std::atomic<std::size_t> next_task_{0};
  std::atomic<std::uint32_t> gate_{kClosed};
  std::atomic<std::uint32_t> epoch_{0};  // counts jobs; idle helpers wait for it to change
  std::atomic<std::uint32_t> sleepers_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> caller_sleeps_{false};
};

}  // namespace headwise
