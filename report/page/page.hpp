// How a report's page looks, and the script by which its curves are zoomed.
#pragma once

namespace cinch::page {

extern const char style[];   ///< CSS, for an element <style>.
extern const char script[];  ///< JavaScript, for an element <script>: draws each figure.plot.

}  // namespace cinch::page
