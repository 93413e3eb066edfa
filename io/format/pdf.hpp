// The time in a PDF file that cairo wrote.
#pragma once

#include <string>

namespace cinch::format {

/// Makes the time at which a PDF file says that it was made the first second of 1970, so that the
/// same drawing is the same file. It stands in the file as text, or, from cairo 1.18 on, in a
/// compressed stream of objects, whose length and all places behind it are then brought up to date.
/// A file that is put together in another way is left as it is.
void remove_time(std::string& pdf);

}  // namespace cinch::format
