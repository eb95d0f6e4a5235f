// How every operation that can fail reports it. The core never throws, aborts or prints.
#pragma once

namespace headwise {

enum class [[nodiscard]] Status{
    kOk = 0,
    kInvalidArgument = 1,  // shapes or options that contradict each other
    kOutOfMemory = 2,
    kNoThreads = 3,  // the threads that were asked for could not be started
    kNotF32 = 4,     // gradients of weights that are not F32
};

}  // namespace headwise

// Leaves the function with the status of `expression` unless that is kOk.
#define HEADWISE_RETURN_IF_ERROR(expression) \
  if (const auto error = (expression); error != ::headwise::Status::kOk) return error
