// The compiled half of Boost.JSON, in one unit.
#include <boost/json/src.hpp>
